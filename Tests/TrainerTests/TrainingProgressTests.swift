import Foundation
import Terminal
import Testing
import Trainer

@Suite struct TrainingProgressTests {
  /// What `body` writes to a console.
  private func output(terminal: Bool, _ body: (Console) -> Void) -> String {
    let pipe = Pipe()
    body(Console(descriptor: pipe.fileHandleForWriting.fileDescriptor, isTerminal: terminal))
    try? pipe.fileHandleForWriting.close()
    return String(decoding: pipe.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
  }

  private func run(_ console: Console) {
    var now = 0.0
    let progress = TrainingProgress(from: 5, to: 25, everySteps: 10, console: console) { now }
    for step in 6...25 {
      now += 6
      progress.update(step: step, loss: 2, imagesPerSecond: 64, others: [("codebook_usage", 0.5)])
    }
    progress.finish()
  }

  @Test func plainLinesWithoutTerminal() {
    #expect(
      output(terminal: false, run) == """
        step 10/25 (40%)  loss 2  codebook usage 0.5  64 images/s  1 min 30 s left
        step 20/25 (80%)  loss 2  codebook usage 0.5  64 images/s  30 s left
        step 25/25 (100%)  loss 2  codebook usage 0.5  64 images/s

        """)
  }

  @Test func oneLineOnATerminal() {
    let text = output(terminal: true, run)
    #expect(text.filter { $0 == "\n" }.count == 1)
    #expect(text.components(separatedBy: "\r\u{1B}[K").count == 21)
    #expect(text.hasSuffix("step 25/25 (100%)  loss 2  codebook usage 0.5  64 images/s\n"))
  }
}

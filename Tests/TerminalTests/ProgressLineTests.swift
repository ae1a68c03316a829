import Foundation
import Logging
import Terminal
import Testing

@Suite struct ProgressLineTests {
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

  @Test func durations() {
    #expect(Quantity.duration(59.4) == "59 s")
    #expect(Quantity.duration(200) == "3 min 20 s")
    #expect(Quantity.duration(7500) == "2 h 05 min")
    #expect(Quantity.duration(90_000) == "1 d 01 h")
    #expect(Quantity.duration(.infinity) == "?")
  }

  @Test func logsAreCompleteInFilesAndQuietOnOtherRanks() {
    let log: (Console, Int) -> Void = { console, rank in
      var logger = Logger(label: "test") { _ in ConsoleLogHandler(console: console, rank: rank) }
      logger[metadataKey: "step"] = "3"
      logger.debug("hidden")
      logger.info("hello")
      logger.error("broken")
    }
    let first = output(terminal: false) { log($0, 0) }.split(separator: "\n")
    #expect(first.count == 2)
    #expect(first[0].hasSuffix("Z info: hello step=3") && first[1].hasSuffix("Z error: broken step=3"))
    #expect(!first.joined().contains("\u{1B}"))
    let second = output(terminal: false) { log($0, 2) }.split(separator: "\n")
    #expect(second.count == 1 && second[0].hasSuffix("Z error: rank 2: broken step=3"))
    let terminal = output(terminal: true) { console in
      console.setStatus("status")
      log(console, 0)
    }
    #expect(terminal.contains("\r\u{1B}[Khello step=3\nstatus"))
  }
}

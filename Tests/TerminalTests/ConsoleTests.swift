import Foundation
import Logging
import Terminal
import Testing

@Suite struct ConsoleTests {
  /// What `body` writes to a console.
  private func output(terminal: Bool, _ body: (Console) -> Void) -> String {
    let pipe = Pipe()
    body(Console(descriptor: pipe.fileHandleForWriting.fileDescriptor, isTerminal: terminal))
    try? pipe.fileHandleForWriting.close()
    return String(decoding: pipe.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
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

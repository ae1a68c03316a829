import Foundation
import Logging
import Synchronization

/// Writes log messages to the console: with a time where they end up in a file, bare on a terminal.
public struct ConsoleLogHandler: LogHandler {
  public var logLevel: Logger.Level
  public var metadata: Logger.Metadata = [:]
  private let console: Console
  private let rank: Int

  /// A handler for one rank. Ranks other than 0 only tell of errors.
  public init(console: Console = .standardError, rank: Int = 0, level: Logger.Level = .info) {
    self.console = console
    self.rank = rank
    logLevel = rank == 0 ? level : max(level, .error)
  }

  public subscript(metadataKey key: String) -> Logger.Metadata.Value? {
    get { metadata[key] }
    set { metadata[key] = newValue }
  }

  public func log(event: LogEvent) {
    var line = "\(event.message)"
    let all = metadata.merging(event.metadata ?? [:]) { $1 }
    for (key, value) in all.sorted(by: { $0.key < $1.key }) { line += " \(key)=\(value)" }
    if let error = event.error { line += ": \(error)" }
    if rank != 0 { line = "rank \(rank): \(line)" }
    if console.isTerminal {
      console.writeLine(prefix(event.level) + line)
    } else {
      let time = Date().formatted(.iso8601)
      console.writeLine("\(time) \(event.level): \(line)")
    }
  }

  private func prefix(_ level: Logger.Level) -> String {
    guard level >= .warning else { return "" }
    guard console.isColored else { return "\(level): " }
    return "\u{1B}[\(level >= .error ? 31 : 33)m\(level):\u{1B}[0m "
  }
}

/// The way all loggers of the program write.
public enum ConsoleLog {
  private static let isSetUp = Atomic(false)

  /// Has all loggers made from now on write to standard error for this rank. Only the first call counts.
  public static func setUp(rank: Int, level: Logger.Level = .info) {
    guard !isSetUp.exchange(true, ordering: .relaxed) else { return }
    LoggingSystem.bootstrap { _ in ConsoleLogHandler(rank: rank, level: level) }
  }
}

extension ConsoleLog {
  /// The program's logger for a rank.
  public static func logger(rank: Int) -> Logger {
    setUp(rank: rank)
    return Logger(label: "peco")
  }
}

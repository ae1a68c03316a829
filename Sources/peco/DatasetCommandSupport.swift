import ArgumentParser
import Datasets
import Foundation
import Preparation
import Terminal
import Threads

/// A line on standard error that is written over as work goes on; every ten seconds a new one where standard
/// error is no terminal.
final class ProgressLine {
  private let isTerminal = isatty(STDERR_FILENO) != 0
  private var lastPrinted = Date()
  private var isShown = false

  func show(_ text: @autoclosure () -> String) {
    if isTerminal {
      isShown = true
      FileHandle.standardError.write(Data("\r\(text())\u{1B}[K".utf8))
    } else if Date().timeIntervalSince(lastPrinted) >= 10 {
      lastPrinted = Date()
      FileHandle.standardError.write(Data((text() + "\n").utf8))
    }
  }

  /// Makes room for other output.
  func clear() {
    if isShown { FileHandle.standardError.write(Data("\r\u{1B}[K".utf8)) }
    isShown = false
  }
}

/// Runs work that Ctrl-C and SIGTERM end in good order: what it had begun to write is removed.
func withInterruption<Result>(_ body: (Cancellation) throws -> Result) throws -> Result {
  let cancellation = Cancellation()
  let signals = [SIGINT, SIGTERM].map { number in
    signal(number, SIG_IGN)
    let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
    source.setEventHandler { cancellation.cancel() }
    source.resume()
    return (number, source)
  }
  defer {
    for (number, source) in signals {
      source.cancel()
      signal(number, SIG_DFL)
    }
  }
  do {
    return try body(cancellation)
  } catch {
    guard cancellation.isCancelled else { throw error }
    FileHandle.standardError.write(Data("\((error as? DatasetError)?.worded ?? error)\n".utf8))
    throw ExitCode(130)
  }
}

/// A number of bytes for people.
func formatted(bytes: Int) -> String {
  let units = ["B", "KB", "MB", "GB", "TB"]
  var value = Double(bytes)
  var unit = 0
  while value >= 999.5, unit < units.count - 1 {
    value /= 1000
    unit += 1
  }
  return unit == 0 ? "\(bytes) B" : String(format: value < 9.95 ? "%.1f %@" : "%.0f %@", value, units[unit])
}

/// A duration for people.
func formatted(seconds: Double) -> String {
  if seconds < 60 { return String(format: "%.1f s", seconds) }
  let whole = Int(seconds.rounded())
  if whole < 3600 { return "\(whole / 60) min \(whole % 60) s" }
  return "\(whole / 3600) h \(whole % 3600 / 60) min"
}

/// How many threads a dataset command uses unless told otherwise.
func defaultWorkers() -> Int { ProcessInfo.processInfo.activeProcessorCount }

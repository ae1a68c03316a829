import Foundation

/// How far some work is: one line that is written over on a terminal, a plain line now and then elsewhere.
public final class ProgressLine {
  private let console: Console
  private let clock: () -> Double
  private var lastShown: Double

  /// - Parameters:
  ///   - console: Where the line is shown.
  ///   - clock: Seconds since some moment.
  public init(
    console: Console = .standardError,
    clock: @escaping () -> Double = { ProcessInfo.processInfo.systemUptime }
  ) {
    self.console = console
    self.clock = clock
    lastShown = console.isTerminal ? -.infinity : clock()
  }

  /// Shows a line, unless the one before it has just been shown.
  ///
  /// - Parameters:
  ///   - text: The line, made only if it is shown.
  ///   - isDue: Whether it is the turn of a plain line; nil: every ten seconds it is.
  public func show(_ text: @autoclosure () -> String, isDue: Bool? = nil) {
    let now = clock()
    // On a terminal, ten times a second is as fast as anybody reads.
    guard
      (isDue ?? false)
        || (console.isTerminal ? now - lastShown >= 0.1 : isDue == nil && now - lastShown >= 10)
    else { return }
    lastShown = now
    if console.isTerminal { console.setStatus(text()) } else { console.writeLine(text()) }
  }

  /// Leaves the line standing as it is.
  public func finish() { console.keepStatus() }

  /// Makes room for other output.
  public func clear() { console.setStatus("") }
}

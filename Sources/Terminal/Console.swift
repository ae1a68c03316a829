import Foundation
import Synchronization

/// Where people read: lines of text and, on a terminal, one line at the bottom that is written over again.
///
/// Safe to use from any thread. Without a terminal nothing but plain lines comes out.
public final class Console: Sendable {
  /// Standard error, where everything goes that is not a command's result.
  public static let standardError = Console(
    descriptor: STDERR_FILENO,
    isTerminal: isatty(STDERR_FILENO) == 1 && ProcessInfo.processInfo.environment["TERM"] != "dumb")

  /// Whether a terminal is at the other end.
  public let isTerminal: Bool
  /// Whether colors are welcome.
  public let isColored: Bool

  private let descriptor: Int32
  private let status = Mutex("")

  /// A console on an open file.
  public init(descriptor: Int32, isTerminal: Bool) {
    self.descriptor = descriptor
    self.isTerminal = isTerminal
    isColored = isTerminal && ProcessInfo.processInfo.environment["NO_COLOR"] == nil
  }

  /// Writes a line, above the status line if there is one.
  public func writeLine(_ line: String) {
    status.withLock { put(isTerminal && !$0.isEmpty ? "\r\u{1B}[K\(line)\n\($0)" : line + "\n") }
  }

  /// Sets the status line; empty removes it. Does nothing without a terminal.
  public func setStatus(_ text: String) {
    guard isTerminal else { return }
    status.withLock { status in
      let fitting = String(text.prefix(max(width - 1, 20)))
      if fitting.isEmpty && status.isEmpty { return }
      status = fitting
      put("\r\u{1B}[K\(fitting)")
    }
  }

  /// Turns the status line into an ordinary one, so that what comes next starts below it.
  public func keepStatus() {
    status.withLock { status in
      if !status.isEmpty { put("\n") }
      status = ""
    }
  }

  private var width: Int {
    var size = winsize()
    return ioctl(descriptor, UInt(TIOCGWINSZ), &size) == 0 && size.ws_col > 0 ? Int(size.ws_col) : 80
  }

  /// A loop of its own beside `FullWrite`: terminals know nothing of files, and who listens no more is no error here.
  private func put(_ text: String) {
    var bytes = Array(text.utf8)[...]
    while !bytes.isEmpty {
      let count = bytes.withUnsafeBytes { write(descriptor, $0.baseAddress, $0.count) }
      if count < 0, errno == EINTR { continue }
      // Nobody listens any more: training goes on.
      guard count > 0 else { return }
      bytes = bytes.dropFirst(count)
    }
  }
}

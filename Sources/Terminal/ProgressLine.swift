import Foundation

/// How far a run is: one line that is written over on a terminal, a plain line now and then elsewhere.
public final class ProgressLine {
  private let console: Console
  private let total: Int
  private let everySteps: Int
  private let clock: () -> Double

  private var lastUpdate: Double
  private var lastShown = -Double.infinity
  private var secondsPerStep = Average()
  private var imagesPerSecond = Average()
  private var loss = Average()
  private var step: Int

  /// Exponential moving average that starts as the plain mean, so that the first values count in full.
  private struct Average {
    var value = 0.0
    var count = 0.0

    mutating func add(_ new: Double) {
      guard new.isFinite else { return }
      count = min(count + 1, 50)
      value += (new - value) / count
    }
  }

  /// Progress toward step `total`, starting after `step`.
  ///
  /// - Parameters:
  ///   - everySteps: Steps from one plain line to the next.
  ///   - clock: Seconds since some moment.
  public init(
    from step: Int = 0, to total: Int, everySteps: Int = 10, console: Console = .standardError,
    clock: @escaping () -> Double = { ProcessInfo.processInfo.systemUptime }
  ) {
    self.console = console
    self.total = total
    self.step = step
    self.everySteps = max(1, everySteps)
    self.clock = clock
    lastUpdate = clock()
  }

  /// Takes note of a finished step.
  ///
  /// - Parameter others: Further numbers to show, such as `accuracy`.
  public func update(
    step: Int, loss: Double, imagesPerSecond: Double, others: [(name: String, value: Double)] = []
  ) {
    let now = clock()
    self.step = step
    secondsPerStep.add(now - lastUpdate)
    lastUpdate = now
    self.imagesPerSecond.add(imagesPerSecond)
    self.loss.add(loss)
    let isLast = step >= total
    if console.isTerminal {
      // Ten times a second is as fast as anybody reads.
      guard isLast || now - lastShown >= 0.1 else { return }
      lastShown = now
      console.setStatus(text(loss: loss.isFinite ? self.loss.value : loss, others))
    } else if isLast || step % everySteps == 0 {
      console.writeLine(text(loss: loss, others))
    }
  }

  /// Leaves the line standing as it is.
  public func finish() { console.keepStatus() }

  private func text(loss: Double, _ others: [(name: String, value: Double)]) -> String {
    let percent = total > 0 ? 100 * step / total : 100
    var parts = ["step \(step)/\(total) (\(percent)%)", "loss \(Self.number(loss))"]
    for (name, value) in others {
      parts.append("\(name.replacingOccurrences(of: "_", with: " ")) \(Self.number(value))")
    }
    parts.append("\(Self.number(imagesPerSecond.value)) images/s")
    if step < total { parts.append(Self.duration(secondsPerStep.value * Double(total - step)) + " left") }
    return parts.joined(separator: "  ")
  }

  private static func number(_ value: Double) -> String {
    guard value.isFinite else { return "\(value)" }
    return String(format: abs(value) < 100 || abs(value) >= 1e6 ? "%.4g" : "%.0f", value)
  }

  /// A stretch of time in its two largest units: `3 min 20 s`.
  public static func duration(_ seconds: Double) -> String {
    guard seconds.isFinite, seconds < 1e9 else { return "?" }
    let whole = Int(seconds.rounded())
    func two(_ value: Int) -> String { value < 10 ? "0\(value)" : "\(value)" }
    switch whole {
    case ..<60: return "\(whole) s"
    case ..<3600: return "\(whole / 60) min \(two(whole % 60)) s"
    case ..<86400: return "\(whole / 3600) h \(two(whole % 3600 / 60)) min"
    default: return "\(whole / 86400) d \(two(whole % 86400 / 3600)) h"
    }
  }
}

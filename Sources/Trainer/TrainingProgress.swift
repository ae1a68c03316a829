import Foundation
import Terminal

/// How far a training run is: step, loss, speed and the time that is left, on a progress line.
package final class TrainingProgress {
  private let line: ProgressLine
  private let isTerminal: Bool
  private let total: Int
  private let everySteps: Int
  private let clock: () -> Double

  private var lastUpdate: Double
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

  /// The progress of a run that starts anew or goes on.
  ///
  /// - Parameters:
  ///   - step: Steps done before.
  ///   - total: The step at which the run ends.
  ///   - everySteps: Steps from one plain line to the next.
  ///   - console: Where the line is shown.
  ///   - clock: Seconds since some moment.
  package init(
    from step: Int = 0, to total: Int, everySteps: Int = 10, console: Console = .standardError,
    clock: @escaping () -> Double = { ProcessInfo.processInfo.systemUptime }
  ) {
    line = ProgressLine(console: console, clock: clock)
    isTerminal = console.isTerminal
    self.total = total
    self.step = step
    self.everySteps = max(1, everySteps)
    self.clock = clock
    lastUpdate = clock()
  }

  /// Takes note of a finished step.
  ///
  /// - Parameters:
  ///   - step: The finished step, counted from 1.
  ///   - loss: Its loss, that of the global batch.
  ///   - imagesPerSecond: Images of all ranks in a second of this step.
  ///   - others: Further numbers to show, such as `accuracy`.
  package func update(
    step: Int, loss: Double, imagesPerSecond: Double, others: [(name: String, value: Double)] = []
  ) {
    let now = clock()
    self.step = step
    secondsPerStep.add(now - lastUpdate)
    lastUpdate = now
    self.imagesPerSecond.add(imagesPerSecond)
    self.loss.add(loss)
    // A line that is written over shows the average, one that stays the step's own loss.
    let shown = isTerminal && loss.isFinite ? self.loss.value : loss
    line.show(text(loss: shown, others), isDue: step >= total || step % everySteps == 0)
  }

  /// Leaves the line standing as it is.
  package func finish() { line.finish() }

  private func text(loss: Double, _ others: [(name: String, value: Double)]) -> String {
    let percent = total > 0 ? 100 * step / total : 100
    var parts = ["step \(step)/\(total) (\(percent)%)", "loss \(Self.number(loss))"]
    for (name, value) in others {
      parts.append("\(name.replacingOccurrences(of: "_", with: " ")) \(Self.number(value))")
    }
    parts.append("\(Self.number(imagesPerSecond.value)) images/s")
    if step < total { parts.append(Quantity.duration(secondsPerStep.value * Double(total - step)) + " left") }
    return parts.joined(separator: "  ")
  }

  private static func number(_ value: Double) -> String {
    guard value.isFinite else { return "\(value)" }
    return String(format: abs(value) < 100 || abs(value) >= 1e6 ? "%.4g" : "%.0f", value)
  }
}

import Foundation
import Terminal

/// What a benchmark found: the same values for people and for programs.
public struct BenchmarkReport: Sendable {
  private var lines: [(label: String, value: String)] = []
  /// The values under the names that `metrics.jsonl` uses where it has them.
  public private(set) var json = JSONObject()
  private let title: String

  init(_ name: String, _ title: String) {
    self.title = title
    json.append("benchmark", name)
  }

  /// The table for people.
  public var text: String {
    let width = lines.map(\.label.count).max() ?? 0
    return
      ([title]
      + lines.map { label, value in
        "  " + label.padding(toLength: width + 2, withPad: " ", startingAt: 0) + value
      }).joined(separator: "\n")
  }

  mutating func note(_ key: String, _ value: Int) { json.append(key, value) }
  mutating func note(_ key: String, _ value: Double) { json.append(key, value) }
  mutating func note(_ key: String, _ values: [Double]) { json.append(key, values) }
  mutating func line(_ label: String, _ value: String) { lines.append((label, value)) }

  /// A number with a name for programs and a line for people.
  mutating func add(_ key: String, _ label: String, _ value: Double, _ unit: String, digits: Int = 2) {
    json.append(key, value)
    line(label, "\(Self.number(value, digits: digits)) \(unit)")
  }

  /// Times: the median with its spread for people, all of them for programs.
  mutating func add(_ key: String, _ label: String, _ timings: Timings) {
    json.append(key, timings.seconds)
    line(
      label,
      "\(Self.milliseconds(timings.median)) ms, from \(Self.milliseconds(timings.least)) to "
        + "\(Self.milliseconds(timings.most)) in \(timings.seconds.count)")
  }

  /// A rate of arithmetic, and its share of what the processor's multiply-adds can do.
  mutating func add(operations: Double, inSeconds seconds: Double, peak: Double) {
    let rate = seconds > 0 ? operations / seconds : 0
    json.append("gflops", rate * 1e-9)
    json.append("peak_gflops", peak * 1e-9)
    json.append("mfu", peak > 0 ? rate / peak : 0)
    line(
      "arithmetic",
      "\(Self.number(rate * 1e-9, digits: 0)) GFLOP/s, \(Self.number(100 * rate / max(peak, 1), digits: 0)) % of "
        + "\(Self.number(peak * 1e-9, digits: 0)) at peak")
  }

  mutating func addMemory(peak: Int) {
    json.append("peak_memory_bytes", peak)
    line("peak memory", Self.bytes(peak))
  }

  static func number(_ value: Double, digits: Int) -> String { String(format: "%.\(digits)f", value) }
  static func milliseconds(_ seconds: Double) -> String { number(seconds * 1e3, digits: seconds < 1 ? 1 : 0) }
  static func bytes(_ count: Int) -> String {
    count < 1 << 30
      ? "\(number(Double(count) / 1_048_576, digits: 0)) MiB"
      : "\(number(Double(count) / 1_073_741_824, digits: 2)) GiB"
  }
}

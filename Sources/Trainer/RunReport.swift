import Foundation
import Terminal

/// Where a run stands, read from its `metrics.jsonl`.
public struct RunReport: Sendable {
  /// The run's directory.
  public let run: String
  /// Steps done.
  public let steps: Int
  /// How long they took, of all starts together.
  public let seconds: Double
  /// The last value of each metric, of whichever step had it last.
  public let values: [String: Double]

  /// Reads the metrics of a run, or of a `metrics.jsonl`.
  public init(run: String) throws {
    let lines = try Self.lines(of: run)
    self.run = run
    steps = lines.last?.step ?? 0
    seconds = lines.reduce(0) { $0 + ($1["seconds"] ?? 0) }
    values = lines.reduce(into: [:]) { $0.merge($1.values) { $1 } }
  }

  /// The metrics of a run, or of a `metrics.jsonl`: one step at least.
  package static func lines(of run: String) throws -> [MetricsLine] {
    let path = run.hasSuffix(".jsonl") ? run : RunDirectory(run, keep: 1).metricsPath
    let lines = try MetricsLine.read(path)
    guard !lines.isEmpty else {
      throw RunError("\(path) has no step yet; report on a run that has trained")
    }
    return lines
  }

  /// Names of metrics that several runs have, the loss and the headlines first; without what is told otherwise.
  private static func names(_ reports: [RunReport], _ headlines: [String]) -> [String] {
    let told = ["step", "epoch", "seconds"]
    let first = ["loss"] + headlines
    let present = Set(reports.flatMap(\.values.keys)).subtracting(told)
    return first.filter(present.contains) + present.subtracting(first).sorted()
  }

  /// One object; `metrics` are those wanted, none for all, `headlines` first.
  public func json(_ metrics: [String], headlines: [String] = []) -> JSONObject {
    var object = JSONObject()
    object.append("run", run)
    object.append("steps", steps)
    object.append("seconds", seconds)
    for name in metrics.isEmpty ? Self.names([self], headlines) : metrics {
      if let value = values[name] { object.append(name, value) } else { object.appendNull(name) }
    }
    return object
  }

  /// A Markdown table, one row a run; `metrics` are those wanted, none for all, `headlines` first.
  public static func table(_ reports: [RunReport], _ metrics: [String], headlines: [String] = []) -> String {
    let names = metrics.isEmpty ? names(reports, headlines) : metrics
    var lines = [
      "| run | steps | minutes | \(names.joined(separator: " | ")) |",
      "| --- |\(String(repeating: " ---: |", count: names.count + 2))",
    ]
    for report in reports {
      let cells = names.map { name in
        report.values[name].map { String(format: "%.4g", $0) } ?? "—"
      }
      let minutes = String(format: "%.1f", report.seconds / 60)
      lines.append(
        "| \(report.run) | \(report.steps) | \(minutes) | \(cells.joined(separator: " | ")) |")
    }
    return lines.joined(separator: "\n")
  }
}

import Foundation
import Storage
import Terminal

/// What is known about one step.
public struct Metrics: Sendable {
  /// Steps done, from 1.
  public var step: Int
  /// Pass over the data that the step belongs to, from 0.
  public var epoch: Int
  /// Mean loss of the global batch.
  public var loss: Double
  public var learningRate: Double
  /// Norm of the gradients before clipping.
  public var gradientNorm: Double
  /// Over all ranks.
  public var imagesPerSecond: Double
  /// How long the step took.
  public var seconds: Double
  /// The task's own metrics, in order.
  public var others: [(name: String, value: Double)]

  public init(
    step: Int, epoch: Int, loss: Double, learningRate: Double, gradientNorm: Double, imagesPerSecond: Double,
    seconds: Double, others: [(name: String, value: Double)] = []
  ) {
    self.step = step
    self.epoch = epoch
    self.loss = loss
    self.learningRate = learningRate
    self.gradientNorm = gradientNorm
    self.imagesPerSecond = imagesPerSecond
    self.seconds = seconds
    self.others = others
  }

  /// The line of `metrics.jsonl`.
  public var json: JSONObject {
    var object = JSONObject()
    object.append("step", step)
    object.append("epoch", epoch)
    object.append("loss", loss)
    object.append("learning_rate", learningRate)
    object.append("gradient_norm", gradientNorm)
    object.append("images_per_second", imagesPerSecond)
    object.append("seconds", seconds)
    for (name, value) in others { object.append(name, value) }
    return object
  }
}

/// Writes `metrics.jsonl`: one JSON object a line, one line a step, on the disk's way as soon as it is written.
public final class MetricsWriter {
  private let path: String
  private let descriptor: Int32

  /// Opens the file for the steps after `step`.
  ///
  /// Lines of later steps, which a run that was cut off after its last checkpoint leaves, are removed, so that
  /// no step appears twice; with `step` 0 the file starts anew.
  public init(path: String, after step: Int = 0) throws {
    self.path = path
    if let data = FileManager.default.contents(atPath: path) {
      let lines = data.split(separator: UInt8(ascii: "\n"))
      let kept = lines.filter { line in MetricsLine(json: Data(line)).map { $0.step <= step } ?? false }
      let text = kept.reduce(into: Data()) { $0 += $1 + [UInt8(ascii: "\n")] }
      if text != data {
        try FileSystem.atomicallyReplace(path) { partial in
          try text.write(to: URL(fileURLWithPath: partial))
        }
      }
    }
    descriptor = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0o644)
    guard descriptor >= 0 else { throw FileSystem.failure(path, "open for writing") }
  }

  deinit { close(descriptor) }

  /// Appends one line.
  public func write(_ metrics: Metrics) throws {
    let line = Array((metrics.json.text + "\n").utf8)
    try line.withUnsafeBytes { try FileSystem.write(descriptor, path, $0) }
  }
}

/// A line of `metrics.jsonl`, read back.
public struct MetricsLine: Sendable {
  /// Steps done.
  public let step: Int
  /// All numbers of the line by name; those that were not finite are missing.
  public let values: [String: Double]

  /// The number of this name.
  public subscript(name: String) -> Double? { values[name] }

  init?(json: Data) {
    guard let object = try? JSONSerialization.jsonObject(with: json) as? [String: Any],
      let step = (object["step"] as? NSNumber)?.intValue
    else { return nil }
    self.step = step
    values = object.compactMapValues { ($0 as? NSNumber)?.doubleValue }
  }

  /// Reads a file, all lines that are whole.
  public static func read(_ path: String) throws -> [MetricsLine] {
    guard let data = FileManager.default.contents(atPath: path) else {
      throw StorageError(
        path: path, problem: "cannot be read", advice: "give the metrics.jsonl of a run, or its directory")
    }
    return data.split(separator: UInt8(ascii: "\n")).compactMap { MetricsLine(json: Data($0)) }
  }
}

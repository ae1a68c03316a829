import Configuration
import Foundation
import MaskedImageModeling
import Models
import Tensors
import Trainer

/// Times checkpoints of a vision transformer with its optimizer against the disk's plain sequential writing.
public enum CheckpointBenchmark {
  /// Saves and loads some times in `directory`, where as much room as two checkpoints is needed.
  public static func run(size: ViTSize, directory: String, repeats: Int) throws -> BenchmarkReport {
    let scope = ParameterScope(seed: 0)
    _ = try MaskedImageModel(.init(size), vocabulary: 8192, in: scope)
    let optimizer = Optimizer(FlatParameters(scope.parameters), configuration: OptimizerConfiguration())
    for tensor in [optimizer.firstMoment, optimizer.secondMoment] {
      tensor.copyElements(from: optimizer.flat.values)
    }
    let header = CheckpointHeader(
      task: MaskedImageModelingTask.task, step: 1, epoch: 0, samplePosition: 0, updates: 1, seed: 0,
      configuration: "")

    let folder = URL(fileURLWithPath: directory)
    let path = folder.appendingPathComponent(".peco-benchmark-\(getpid()).h5").path
    let plain = folder.appendingPathComponent(".peco-benchmark-\(getpid()).raw").path
    defer { for file in [path, plain] { try? FileManager.default.removeItem(atPath: file) } }
    var (save, load, write) = ([Double](), [Double](), [Double]())
    // In turn, so that the disk's moods touch all alike.
    for _ in 0..<repeats {
      write.append(try Timings(warmup: 0, repeats: 1) { try writePlainly(optimizer, to: plain) }.median)
      save.append(
        try Timings(warmup: 0, repeats: 1) {
          try Checkpoint.write(header, parameters: scope.parameters, optimizer: optimizer, to: path)
        }.median)
      load.append(
        try Timings(warmup: 0, repeats: 1) {
          try Checkpoint.load(path, into: scope.parameters, optimizer: optimizer)
        }.median)
    }
    let bytes = (try FileManager.default.attributesOfItem(atPath: path)[.size] as? Int) ?? 0
    let rate = Double(3 * optimizer.flat.count * 4) / Timings(write).median
    var report = BenchmarkReport(
      "checkpoint", "checkpoint of ViT-\(size.rawValue) with its optimizer in \(directory)")
    report.note("bytes", bytes)
    report.line("size", BenchmarkReport.bytes(bytes))
    report.add("save_seconds", "save", Timings(save))
    report.add("load_seconds", "load", Timings(load))
    report.note("write_seconds", write)
    report.note("disk_write_bytes_per_second", rate)
    report.line("plain write", "\(BenchmarkReport.number(rate * 1e-6, digits: 0)) MB/s")
    report.add(
      "share_of_disk", "saving's share of it",
      Timings.median(zip(save, write).map { $1 / $0 * Double(bytes) / Double(3 * optimizer.flat.count * 4) }),
      "")
    return report
  }

  /// The same arrays, one after another, flushed to the disk: what no format could be faster than.
  private static func writePlainly(_ optimizer: Optimizer, to path: String) throws {
    let descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
    guard descriptor >= 0 else {
      throw BenchmarkError("cannot write to \(path): \(String(cString: strerror(errno)))")
    }
    defer { close(descriptor) }
    for tensor in [optimizer.flat.values, optimizer.firstMoment, optimizer.secondMoment] {
      try tensor.withUnsafeElements { elements in
        var rest = UnsafeRawBufferPointer(elements)[...]
        while !rest.isEmpty {
          let piece = UnsafeRawBufferPointer(rebasing: rest.prefix(16 << 20))
          let count = write(descriptor, piece.baseAddress, piece.count)
          guard count > 0 else {
            throw BenchmarkError("cannot write to \(path): \(String(cString: strerror(errno)))")
          }
          rest = rest.dropFirst(count)
        }
      }
    }
    guard fsync(descriptor) == 0 else {
      throw BenchmarkError("cannot flush \(path): \(String(cString: strerror(errno)))")
    }
  }
}

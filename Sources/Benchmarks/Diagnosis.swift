import Communication
import Foundation
import ImageOperations
import Layers
import Operations
import Storage
import Tensors

/// What `peco doctor` finds out about a machine: each thing, its measure, and what is wrong with it.
public struct Finding: Sendable {
  /// How good it is.
  public enum Verdict: String, Sendable {
    case good = "ok"
    case poor = "slow"
    case broken = "wrong"
  }

  public let subject: String
  public let value: String
  public let verdict: Verdict
  /// What to do about it, where it is not good.
  public let advice: String?

  init(_ subject: String, _ value: String, _ verdict: Verdict = .good, advice: String? = nil) {
    self.subject = subject
    self.value = value
    self.verdict = verdict
    self.advice = verdict == .good ? nil : advice
  }
}

/// Examines the processor, the libraries and the disk.
public enum Diagnosis {
  /// Runs every check, calling `report` as each is done.
  ///
  /// - Parameters:
  ///   - directory: Where runs are to be written.
  ///   - communicator: All ranks of the job.
  ///   - report: Is given each finding.
  public static func run(directory: String, communicator: Communicator, report: (Finding) -> Void) throws {
    let threads = ThreadPool.current.threadCount
    report(
      Finding(
        "processor", "\(Processor.modelName), \(Processor.vectorBits)-bit vectors, \(threads) threads used"))
    let peak = try Processor.measuredPeak(threads: threads)
    report(Finding("peak, fused multiply-add", rate(peak)))
    report(kernels())
    report(matrixMultiply(peak: peak))
    report(convolution(peak: peak))
    report(bfloat16(peak: peak))
    report(Finding("MPI", communication(communicator)))
    report(Finding("HDF5", HDF5File.libraryVersion))
    report(disk(directory))
  }

  private static func kernels() -> Finding {
    let bits = MatrixMultiply.vectorBits
    return Finding(
      "kernels", "\(MatrixMultiply.kernelName), \(bits)-bit", bits < Processor.vectorBits ? .broken : .good,
      advice: "the processor has \(Processor.vectorBits)-bit vectors: is ONEDNN_MAX_CPU_ISA or "
        + "DNNL_MAX_CPU_ISA set?")
  }

  /// The product of ViT-B's first MLP matrix with the tokens of 16 images.
  private static func matrixMultiply(peak: Double) -> Finding {
    let (m, n, k) = (16 * 197, 3072, 768)
    let (a, b) = (Tensor([m, k], filledWith: 0.5), Tensor([n, k], filledWith: 0.25))
    let c = Tensor(uninitialized: [m, n])
    let best = bestRate(operations: 2 * Double(m * n * k)) {
      writeMatrixProduct(a, b, bTransposed: true, into: c)
    }
    return compared("matrix product \(m)×\(n)×\(k)", best, peak, least: 0.6)
  }

  /// A 3×3 convolution of 128 channels at 56².
  private static func convolution(peak: Double) -> Finding {
    let scope = ParameterScope(seed: 0, frozen: true)
    let (batch, channels, side) = (4, 128, 56)
    let layer = Convolution2d(channels, channels, kernel: 3, padding: 1, in: scope)
    let images = Tensor([batch, side, side, channels], filledWith: 0.5)
    let best = bestRate(operations: 2 * 9 * Double(batch * side * side * channels * channels)) {
      _ = layer(images)
    }
    return compared("convolution 3×3, \(channels) channels at \(side)²", best, peak, least: 0.6)
  }

  /// The same product in bfloat16, the weight's rounding included, where the processor has instructions for it.
  private static func bfloat16(peak: Double) -> Finding {
    guard MatrixMultiply.hasNativeBFloat16 else {
      return Finding("bfloat16", "no instructions for it: training.precision auto is float32 here")
    }
    return ExecutionContext.current.withPrecision(.bfloat16) {
      let scope = ParameterScope(seed: 0, frozen: true)
      let (m, n, k) = (16 * 197, 3072, 768)
      let layer = Linear(k, n, bias: false, in: scope)
      let x = Tensor([m, k], filledWith: 0.5, dtype: .bfloat16)
      let best = bestRate(operations: 2 * Double(m * n * k)) {
        _ = linear(x, layer.weight, biases: [], isNarrow: true)
      }
      let value = "native: training.precision auto is bfloat16; matrix product \(m)×\(n)×\(k): \(rate(best))"
      return Finding(
        "bfloat16", String(format: "%@, %.1f × the float32 peak", value, best / peak),
        best < peak ? .poor : .good,
        advice: "it should be faster than float32: are other programs running?")
    }
  }

  private static func communication(_ communicator: Communicator) -> String {
    "\(Communicator.libraryVersion), \(communicator.size) rank\(communicator.size == 1 ? "" : "s")"
  }

  /// Writes, flushes and removes 256 MiB.
  private static func disk(_ directory: String) -> Finding {
    let folder = URL(fileURLWithPath: directory)
    let file = folder.appendingPathComponent(".peco-doctor-\(getpid())")
    let subject = "disk at \(folder.path)"
    defer { try? FileManager.default.removeItem(at: file) }
    do {
      let attributes = try FileManager.default.attributesOfFileSystem(forPath: folder.path)
      let free = (attributes[.systemFreeSize] as? NSNumber)?.doubleValue ?? 0
      let block = Data(repeating: 7, count: 16 << 20)
      let start = ContinuousClock.now
      guard FileManager.default.createFile(atPath: file.path, contents: nil) else {
        return Finding(subject, "cannot be written to", .broken, advice: "choose another with --directory")
      }
      let handle = try FileHandle(forWritingTo: file)
      for _ in 0..<16 { try handle.write(contentsOf: block) }
      try handle.synchronize()
      try handle.close()
      let speed = 256.0 / (start.duration(to: .now) / .seconds(1))
      let value = String(format: "%.0f GiB free, %.0f MiB/s written", free / Double(1 << 30), speed)
      if free < 10 * Double(1 << 30) {
        return Finding(subject, value, .poor, advice: "a ViT-B checkpoint takes about 1 GiB: make room")
      }
      return Finding(
        subject, value, speed < 50 ? .poor : .good, advice: "checkpoints will take long: use a faster disk")
    } catch {
      return Finding(
        subject, "\(error.localizedDescription)", .broken, advice: "choose another with --directory")
    }
  }

  private static func bestRate(operations: Double, _ body: () -> Void) -> Double {
    body()
    return (0..<7).map { _ in
      let start = ContinuousClock.now
      body()
      return operations / (start.duration(to: .now) / .seconds(1))
    }.max() ?? 0
  }

  private static func compared(_ subject: String, _ best: Double, _ peak: Double, least: Double) -> Finding {
    let share = best / peak
    return Finding(
      subject, rate(best) + String(format: ", %.0f %% of peak", 100 * share), share < least ? .poor : .good,
      advice: "is another program running, or are there more threads than processors (PECO_THREADS)?")
  }

  private static func rate(_ operations: Double) -> String {
    String(format: "%.0f GFLOP/s", operations * 1e-9)
  }
}

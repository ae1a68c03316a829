import Communication
import Foundation
import ImageOperations
import Layers
import Operations
import Tensors
import Trainer

/// Times what models are made of: matrix products, convolutions, and the sum over ranks.
public enum KernelBenchmarks {
  /// The products of a ViT-B block over the tokens of `batch` images, forward (NT), for the input's gradient (NN)
  /// and for the weight's (TN).
  public static func gemm(batch: Int, repeats: Int) throws -> BenchmarkReport {
    var report = BenchmarkReport("gemm", "matrix products of ViT-B over \(batch) images of 197 tokens")
    report.note("threads", ThreadPool.current.threadCount)
    let peak = try Processor.measuredPeak(threads: ThreadPool.current.threadCount)
    let rows = batch * 197
    var (operations, seconds) = (0.0, 0.0)
    for (name, inputs, outputs) in [
      ("qkv", 768, 2304), ("proj", 768, 768), ("fc1", 768, 3072), ("fc2", 3072, 768),
    ] {
      let (x, w, y) = (
        Tensor.normal([rows, inputs], time: 1), Tensor.normal([outputs, inputs], time: 2),
        Tensor([rows, outputs])
      )
      let variants: [(String, () -> Void)] = [
        ("forward", { writeMatrixProduct(x, w, bTransposed: true, into: y) }),
        ("input gradient", { writeMatrixProduct(y, w, into: x) }),
        ("weight gradient", { writeMatrixProduct(y, x, aTransposed: true, into: w) }),
      ]
      let work = 2 * Double(rows * inputs * outputs)
      for (variant, body) in variants {
        y.fill(1e-3)
        let timings = Timings(warmup: 2, repeats: repeats, body)
        operations += work
        seconds += timings.median
        report.line(
          "\(name) \(variant)",
          rate(work, timings.median, peak) + ", \(BenchmarkReport.milliseconds(timings.median)) ms")
        report.note(
          "gflops_\(name)_\(variant.replacingOccurrences(of: " ", with: "_"))", work / timings.median * 1e-9)
      }
    }
    try addAttentionScores(to: &report, repeats: repeats, peak: Processor.measuredPeak(threads: 1))
    report.add(operations: operations, inSeconds: seconds, peak: peak)
    return report
  }

  /// The products q kᵀ of the heads of one image on one thread: by the kernel for them, keys being turned anew for each
  /// head, and by a general product.
  private static func addAttentionScores(to report: inout BenchmarkReport, repeats: Int, peak: Double) {
    let (tokens, channels, heads) = (197, 64, 12)
    let qkv = Tensor.normal([tokens, 3 * heads * channels], time: 1)
    let scores = Tensor([tokens, tokens])
    func time(_ variant: String, usingKernel: Bool) {
      let rounds = 20
      let timings = Timings(warmup: 2, repeats: repeats) {
        for _ in 0..<rounds {
          for head in 0..<heads {
            writeAttentionScores(of: qkv, heads: heads, head: head, into: scores, usingKernel: usingKernel)
          }
        }
      }
      let work = 2 * Double(rounds * heads * tokens * tokens * channels)
      report.line("attention scores \(variant), one thread", rate(work, timings.median, peak))
      report.note(
        "gflops_scores_\(variant.replacingOccurrences(of: " ", with: "_"))", work / timings.median * 1e-9)
    }
    time("by a general product", usingKernel: false)
    if hasAttentionScoresKernel(keys: tokens, channels: channels) {
      time("by their kernel", usingKernel: true)
    }
  }

  /// The 3 × 3 convolutions of a tokenizer of base width 64, forward, and backward for input and weights.
  public static func convolution(batch: Int, repeats: Int) throws -> BenchmarkReport {
    var report = BenchmarkReport("convolution", "3×3 convolutions over \(batch) images, channels last")
    report.note("threads", ThreadPool.current.threadCount)
    let peak = try Processor.measuredPeak(threads: ThreadPool.current.threadCount)
    var (operations, seconds) = (0.0, 0.0)
    for (channels, side) in [(64, 224), (64, 112), (128, 56), (128, 28), (256, 14)] {
      let scope = ParameterScope(seed: 0)
      let layer = Convolution2d(channels, channels, kernel: 3, padding: 1, in: scope)
      _ = FlatParameters(scope.parameters)
      let images = Tensor.normal([batch, side, side, channels], time: 1)
      let gradient = Tensor.normal([batch, side, side, channels], time: 2)
      let work = 18 * Double(batch * side * side * channels * channels)
      let forward = Timings(warmup: 2, repeats: repeats) { _ = layer(images) }
      let backward = Timings(
        (0..<repeats + 2).map { _ in
          let tape = Tape()
          let y = layer(tape.leaf(images))
          let loss = Tape.record(Tensor(Float(0)), from: [y]) { _ in y.addGradient(gradient) }
          return Timings(warmup: 0, repeats: 1) { tape.backward(from: loss) }.median
        }.dropFirst(2).map { $0 })
      operations += 3 * work
      seconds += forward.median + backward.median
      report.line(
        "\(channels) channels at \(side)²",
        "forward \(rate(work, forward.median, peak)), backward \(rate(2 * work, backward.median, peak))")
      report.note("gflops_\(channels)_\(side)_forward", work / forward.median * 1e-9)
      report.note("gflops_\(channels)_\(side)_backward", 2 * work / backward.median * 1e-9)
    }
    report.add(operations: operations, inSeconds: seconds, peak: peak)
    return report
  }

  /// Sums of floats over all ranks, in place. Collective.
  public static func allReduce(
    megabytes: [Double], repeats: Int, communicator: Communicator
  ) throws -> BenchmarkReport {
    var report = BenchmarkReport("allreduce", "all-reduce of floats over \(communicator.size) ranks")
    report.note("ranks", communicator.size)
    for size in megabytes {
      let values = Tensor([max(1, Int(size * 1e6) / 4)], filledWith: 1e-3)
      let timings = try Timings(warmup: 2, repeats: repeats) {
        try communicator.barrier()
        try communicator.allReduce(.sum, values)
      }
      let bytes = Double(values.count * 4)
      report.line(
        "\(BenchmarkReport.number(size, digits: size < 1 ? 2 : 0)) MB",
        "\(BenchmarkReport.milliseconds(timings.median)) ms, "
          + "\(BenchmarkReport.number(bytes / timings.median * 1e-9, digits: 2)) GB/s")
      report.note("bytes_per_second_\(Int(bytes))", bytes / timings.median)
    }
    return report
  }

  private static func rate(_ operations: Double, _ seconds: Double, _ peak: Double) -> String {
    let rate = operations / seconds
    return "\(BenchmarkReport.number(rate * 1e-9, digits: 0)) GFLOP/s "
      + "(\(BenchmarkReport.number(100 * rate / peak, digits: 0)) %)"
  }
}

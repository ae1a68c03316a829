import Communication
import Configuration
import Datasets
import Layers
import Models
import Tensors
import Terminal
import Tokenizers
import Trainer
import VQVAETraining

/// Times the tokenizer at PeCo's size: images of 224², 14 × 14 tokens out of 8192.
public enum TokenizerBenchmark {
  /// What is timed.
  public enum Work: Sendable {
    /// The training step, on pixels and commitment alone.
    case training
    /// From images to tokens.
    case encoding
  }

  /// Collective.
  public static func run(
    width: Int, _ work: Work, _ options: StepBenchmarkOptions, communicator: Communicator
  ) throws -> BenchmarkReport {
    let configuration = try TokenizerConfiguration.load(
      yaml: "model: {base_width: \(width)}\ncodebook: {revive_every_steps: 0}\ndata: {path: none}\n"
        + "training: {steps: 1}", source: "the benchmark's configuration"
    ).configuration
    let side = configuration.shared.data.imageSize
    guard let family = configuration.member(VQVAEFamily.self) else { throw RunError("there is no VQ-VAE") }
    let task = try VQVAETask(family, configuration.settings, perceptual: nil)
    let architecture = family.architecture(configuration.settings)
    var report = BenchmarkReport(
      work == .training ? "tokenizer" : "tokenizer_encode",
      "tokenizer, base width \(width) at \(side)², \(work == .training ? "training" : "encoding")")
    report.note("width", width)

    var images = Tensor.normal([options.batch, side, side, 3], time: communicator.rank)
    if let path = options.problem {
      images = try communicator.agree {
        let problem = try Problem(
          opening: path, anchor: "encoder.conv_in.weight", batch: options.batch, size: side)
        try problem.fill(task.parameters)
        let quantizer = task.model.quantizer
        quantizer.revive(entries: Array(0..<quantizer.entries), with: quantizer.embedding.value)
        return problem.images
      }
    }
    func batch(_ step: Int) -> Batch {
      Batch(step: step, samples: Array(0..<options.batch), tokenizerImages: images)
    }
    try report.addLoss(of: task, batch(0), options, communicator: communicator)
    switch work {
    case .training:
      try StepBenchmark(options: options, communicator: communicator).run(
        task, configuration.shared,
        operations: 3 * (architecture.encoderOperations + architecture.decoderOperations)
          + architecture.quantizerOperations, into: &report, makeBatch: batch)
    case .encoding:
      let peak = try measuredPeak(communicator)
      let timings = Timings(warmup: options.warmup, repeats: options.steps) {
        _ = task.model.tokens(images)
      }
      report.note("ranks", communicator.size)
      report.note("threads", ThreadPool.current.threadCount)
      report.note("batch", options.batch)
      let all = Double(options.batch * communicator.size)
      report.add("images_per_second", "images", all / timings.median, "a second")
      report.add("seconds", "batch of \(options.batch)", timings)
      report.add(
        operations: all * (architecture.encoderOperations + architecture.quantizerOperations),
        inSeconds: timings.median, peak: peak)
      report.addMemory(peak: Int(try communicator.allReduce(.max, Int64(ProcessMemory.peak))))
    }
    return report
  }
}

import Communication
import Configuration
import Datasets
import MaskedImageModeling
import Models
import Tensors
import Trainer

/// Times the step of masked image modeling: BEiT's setting, images of 224², 75 of 196 patches masked, 8192 tokens.
public enum PretrainBenchmark {
  private static let vocabulary = 8192

  /// Collective.
  public static func run(
    size: ViTSize, _ options: StepBenchmarkOptions, communicator: Communicator
  ) throws -> BenchmarkReport {
    let configuration = try PretrainConfiguration.load(
      yaml:
        "model: {size: \(size.rawValue)}\nmasking: {count: 75}\ntokens: {file: none}\ndata: {path: none}\n"
        + "training: {steps: 1}\noptimizer: {learning_rate: 5.0e-4}",
      source: "the benchmark's configuration"
    ).configuration
    let side = configuration.shared.data.imageSize
    let patches = configuration.grid * configuration.grid
    let task = try MaskedImageModelingTask(configuration, tokens: .file, vocabulary: vocabulary)

    let images: Tensor
    let masked: [Int32]
    var tokens = [Int32](repeating: 0, count: options.batch * patches)
    var report = BenchmarkReport(
      "pretrain", "masked image modeling, ViT-\(size.rawValue) at \(side)², \(communicator.size) ranks")
    if let path = options.problem {
      let problem = try communicator.agree {
        let problem = try Problem(
          opening: path, anchor: "patch_embed.proj.weight", batch: options.batch, size: side)
        try problem.fill(task.parameters)
        let places = 0..<Int32(tokens.count)
        guard problem.masked.count == problem.tokens.count, !problem.masked.isEmpty,
          problem.masked.allSatisfy(places.contains),
          problem.tokens.allSatisfy({ 0..<Int32(vocabulary) ~= $0 })
        else { throw BenchmarkError("masked and tokens in \(path) do not fit \(places.count) patches") }
        return problem
      }
      (images, masked) = (problem.images, problem.masked)
      for (place, token) in zip(problem.masked, problem.tokens) { tokens[Int(place)] = token }
    } else {
      (images, masked) = try randomBatch(configuration, options, rank: communicator.rank)
      var stream = RandomStream(seed: 0, purpose: .test, time: communicator.rank)
      for place in tokens.indices { tokens[place] = Int32(stream.integer(below: vocabulary)) }
    }
    func batch(_ step: Int) -> Batch {
      let first = (step * communicator.size + communicator.rank) * options.batch
      return Batch(
        step: step, samples: Array(first..<first + options.batch), images: images, masked: masked,
        patches: configuration.architecture.patches, tokens: tokens)
    }
    try report.addLoss(of: task, batch(0), options, communicator: communicator)
    let architecture = configuration.architecture
    let perImage = architecture.forwardOperations(
      masked: masked.count / options.batch, vocabulary: vocabulary)
    try StepBenchmark(options: options, communicator: communicator).run(
      task, configuration.shared, operations: 3 * perImage, into: &report, makeBatch: batch)
    return report
  }

  private static func randomBatch(
    _ configuration: PretrainConfiguration, _ options: StepBenchmarkOptions, rank: Int
  ) throws -> (Tensor, [Int32]) {
    let side = configuration.shared.data.imageSize
    let images = Tensor.normal([options.batch, side, side, 3], time: rank)
    let generator = try MaskGenerator(
      height: configuration.grid, width: configuration.grid, count: 75,
      kind: .blockwise(minimumBlock: 16, minimumAspect: 0.3))
    let patches = configuration.grid * configuration.grid
    let masked = (0..<options.batch).flatMap { index in
      generator.positions(seed: 0, epoch: 0, index: rank * options.batch + index).map {
        Int32(index * patches) + $0
      }
    }
    return (images, masked)
  }
}

extension Tensor {
  /// Standard normal elements that depend on `time` alone.
  static func normal(_ shape: [Int], time: Int) -> Tensor {
    let tensor = Tensor(uninitialized: shape)
    var stream = RandomStream(seed: 1, purpose: .test, time: time)
    tensor.withUnsafeMutableElements { for i in $0.indices { $0[i] = stream.normal() } }
    return tensor
  }
}

import Classification
import Communication
import Configuration
import Datasets
import Models
import Tensors
import Trainer

/// Times the step of fine-tuning as the papers do it: images of 224², 1000 classes, Mixup and CutMix, smoothed labels,
/// stochastic depth, a learning rate that decays over the layers (BEiT, appendix).
public enum FinetuneBenchmark {
  private static let classes = 1000

  /// Collective.
  public static func run(
    size: ViTSize, _ options: StepBenchmarkOptions, communicator: Communicator
  ) throws -> BenchmarkReport {
    let configuration = try FinetuneConfiguration.load(
      yaml:
        "model: {size: \(size.rawValue)}\ndata: {path: none}\ntraining: {steps: 1}\n"
        + "optimizer: {learning_rate: 5.0e-4, layer_decay: 0.65}",
      source: "the benchmark's configuration"
    ).configuration
    let microBatch = options.microBatch ?? options.batch
    guard microBatch % configuration.microBatchMultiple == 0 else {
      throw BenchmarkError("mixed images come in pairs: \(microBatch) images at a time are not even")
    }
    let side = configuration.shared.data.imageSize
    let task = try ClassificationTask(
      configuration, classes: (0..<classes).map { "class \($0)" }, fill: { _ in })
    var report = BenchmarkReport(
      "finetune", "fine-tuning, ViT-\(size.rawValue) at \(side)², \(communicator.size) ranks")

    let images: Tensor
    let labels: [Int32]
    if let path = options.problem {
      let problem = try communicator.agree {
        let problem = try Problem(
          opening: path, anchor: "patch_embed.proj.weight", batch: options.batch, size: side)
        try problem.fill(task.parameters)
        guard problem.labels.count == options.batch,
          problem.labels.allSatisfy({ 0..<Int32(classes) ~= $0 })
        else { throw BenchmarkError("labels in \(path) are not \(options.batch) of \(classes) classes") }
        return problem
      }
      (images, labels) = (problem.images, problem.labels)
    } else {
      images = Tensor.normal([options.batch, side, side, 3], time: communicator.rank)
      var stream = RandomStream(seed: 0, purpose: .test, time: communicator.rank)
      labels = (0..<options.batch).map { _ in Int32(stream.integer(below: classes)) }
    }
    func batch(_ step: Int) -> Batch {
      let first = (step * communicator.size + communicator.rank) * options.batch
      return Batch(
        step: step, samples: Array(first..<first + options.batch), images: images, labels: labels)
    }
    try report.addLoss(of: task, batch(0), options, communicator: communicator)
    let architecture = configuration.architecture
    let perImage =
      architecture.forwardOperations() + 2 * Double(architecture.width) * Double(classes)
    try StepBenchmark(options: options, communicator: communicator).run(
      task, configuration.shared, operations: 3 * perImage, into: &report, makeBatch: batch)
    return report
  }
}

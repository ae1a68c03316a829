import Communication
import Configuration
import Datasets
import Tensors
import TestSupport
import Testing
import Tokenizers
import Trainer
import VQVAETraining

/// A tokenizer of 16 tokens an image that is trained in milliseconds, on a global batch of eight images.
struct SmallTokenizer: Sendable {
  static let images = 8
  static let seed: UInt64 = 3
  let configuration: TokenizerConfiguration

  init(_ overrides: [String] = []) throws {
    configuration = try TokenizerConfiguration.load(
      yaml: """
        seed: \(Self.seed)
        data: {path: none, image_size: 16}
        model: {base_width: 8, channel_multipliers: [1, 1, 2], blocks_per_level: 1, attention: false}
        codebook: {size: 24, dimension: 4}
        training: {steps: 10, global_batch_size: \(Self.images), micro_batch_size: 2}
        optimizer: {learning_rate: 1.0e-3, schedule: constant}
        """, source: "test", overrides: overrides
    ).configuration
  }

  func task() throws -> VQVAETask {
    let family = try #require(configuration.member(VQVAEFamily.self))
    return try VQVAETask(family, configuration.settings, perceptual: nil)
  }

  func share(of communicator: Communicator, microBatchSize: Int = 2) throws -> RankShare {
    try RankShare(
      rank: communicator.rank, ranks: communicator.size, globalBatchSize: Self.images,
      microBatchSize: microBatchSize)
  }

  /// The micro-batch of these places of a step, counted from 0.
  static func batch(step: Int, _ places: Range<Int>) -> Batch {
    let samples = places.map { step * images + $0 }
    return Batch(step: step, samples: samples, tokenizerImages: noiseImages(samples, side: 16))
  }

  /// The step of a task on this rank, and its images.
  func training(
    _ task: VQVAETask, on communicator: Communicator, microBatchSize: Int = 2
  ) throws -> (step: TrainingStep, images: GeneratedBatches) {
    let share = try share(of: communicator, microBatchSize: microBatchSize)
    let sampler = try GlobalSampler(count: Self.images, globalBatchSize: Self.images, seed: 1)
    let plan = RunPlan(configuration.shared, sampler: sampler, share: share)
    return (
      try TrainingStep(task, plan: plan, communicator: communicator),
      GeneratedBatches(share) { Self.batch(step: $0, $1) }
    )
  }
}

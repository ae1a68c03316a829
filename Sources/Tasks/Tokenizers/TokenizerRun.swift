import Communication
import Configuration
import Datasets
import Logging
import TokenizerSupport
import Trainer

/// `peco tokenizer train`.
public enum TokenizerTraining {
  /// Trains a tokenizer as a request asks. Collective.
  public static func run(_ request: RunRequest, communicator: Communicator) throws -> TrainingLoop.Outcome {
    let setup = try RunSetup<TokenizerConfiguration>(request, communicator: communicator)
    let configuration = setup.configuration
    let (micro, plan) = (configuration.shared.training.microBatchSize, setup.plan)
    if configuration.adversarial.discriminator != .none, plan.microBatchSize != micro {
      setup.logger.warning(
        """
        the weight of the adversarial loss is adapted to each micro-batch, of \(plan.microBatchSize) images on \
        \(communicator.size) ranks where training.micro_batch_size is \(micro): the tokenizer will be another than \
        on fewer ranks
        """)
    }
    let perceptual = try PerceptualNetworks.make(
      configuration, communicator: communicator, logger: setup.logger)
    let task = try communicator.agree {
      try configuration.family.makeTask(configuration, perceptual?.network)
    }
    let data = configuration.shared.data
    let samples = SamplePipeline(
      seed: configuration.shared.seed, augmentation: data.augmentation,
      tokenizerImage: .tokenizer(size: data.imageSize, interpolation: data.interpolation))
    let inputs = perceptual?.checksum.map { [RunInput.perceptual: $0] } ?? [:]
    return try setup.train(task, samples: samples, inputs: inputs, communicator: communicator)
  }
}

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
    let (settings, family, plan) = (configuration.settings, configuration.family, setup.plan)
    if plan.microBatchSize != settings.shared.training.microBatchSize,
      let warning = family.warning(
        microBatchSize: plan.microBatchSize, ranks: communicator.size, settings)
    {
      setup.logger.warning("\(warning)")
    }
    let perceptual = try PerceptualNetworks.make(
      settings, communicator: communicator, logger: setup.logger)
    let task = try communicator.agree {
      try family.makeTask(settings, perceptual: perceptual?.network)
    }
    let data = configuration.shared.data
    let samples = SamplePipeline(
      seed: configuration.shared.seed, augmentation: data.augmentation,
      tokenizerImage: .tokenizer(size: data.imageSize, interpolation: data.interpolation))
    let inputs = perceptual?.checksum.map { checksum in
      RunInput(
        "perceptual", checksum: checksum,
        difference: "with another perceptual network than the present one: its loss would change; give the "
          + "network it began with (by its checkpoint, if its run went on since)")
    }
    return try setup.train(
      task, samples: samples, inputs: inputs.map { [$0] } ?? [], communicator: communicator)
  }
}

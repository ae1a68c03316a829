import Communication
import Datasets

/// `peco tokenizer train`.
public enum TokenizerTraining {
  /// Trains a tokenizer as a request asks. Collective.
  public static func run(_ request: RunRequest, communicator: Communicator) throws -> TrainingLoop.Outcome {
    let setup = try RunSetup<TokenizerConfiguration>(request, communicator: communicator)
    let configuration = setup.configuration
    let perceptual = try PerceptualNetworks.make(
      configuration, communicator: communicator, logger: setup.logger)
    let recipe: any Recipe = try communicator.agree {
      switch configuration.model.kind {
      case .vqvae: try TokenizerRecipe(configuration, perceptual: perceptual)
      case .dvae: try DVAERecipe(configuration, perceptual: perceptual)
      }
    }
    let data = configuration.shared.data
    let samples = SampleRecipe(
      seed: configuration.shared.seed, augmentation: data.augmentation,
      tokenizerPicture: .tokenizer(size: data.imageSize))
    return try setup.train(recipe, samples: samples, tokens: nil, communicator: communicator)
  }
}

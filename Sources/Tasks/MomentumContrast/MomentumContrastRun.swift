import Communication
import Configuration
import Datasets
import Evaluation
import Layers
import Models
import Trainer

/// `peco perceptual train`.
public enum PerceptualTraining {
  /// Trains a perceptual network as a request asks. Collective.
  public static func run(_ request: RunRequest, communicator: Communicator) throws -> TrainingLoop.Outcome {
    let setup = try RunSetup<PerceptualConfiguration>(request, communicator: communicator)
    let configuration = setup.configuration
    var evaluation: NeighborEvaluation?
    if configuration.evaluation.every != nil {
      let other = try configuration.evaluation.path.map { try ImageDataset.open($0, on: communicator) }
      evaluation = try communicator.agree {
        try NeighborEvaluation(
          configuration.evaluation.settings, seed: configuration.shared.seed,
          view: configuration.shared.data.imagePreprocessing,
          options: configuration.shared.data.loaderOptions,
          dataset: setup.dataset, other: other)
      }
    }
    let task = try MomentumContrastTask(
      configuration, plan: setup.plan, evaluation: evaluation, communicator: communicator)
    let data = configuration.shared.data
    var samples = SamplePipeline(
      seed: configuration.shared.seed, augmentation: configuration.augmentation(ofView: 0),
      image: data.imagePreprocessing)
    samples.secondAugmentation = configuration.augmentation(ofView: 1)
    return try setup.train(task, samples: samples, communicator: communicator)
  }
}

extension PerceptualConfiguration {
  /// The vision transformer that the configuration describes.
  public var architecture: VisionTransformerConfiguration {
    var result = model.dimensions.architecture(imageSize: shared.data.imageSize)
    result.layerScale = nil
    result.dropPath = 0
    result.positions = .sinCos
    result.qkvBias = .full
    result.initialization = .xavierUniform
    result.hasFixedPatchProjection = model.fixedPatchProjection
    return result
  }

  /// How the first (0) or the second (1) view is cut and changed.
  func augmentation(ofView number: Int) -> Augmentation {
    var result = shared.data.augmentation
    let strength = Float(shared.data.colorJitter)
    // 0.4, 0.4, 0.2 and 0.1 in the paper.
    result.colorJitter =
      strength > 0
      ? ColorJitterRange(
        brightness: strength, contrast: strength, saturation: strength / 2, hue: strength / 4) : nil
    result.effects = ViewEffects(
      colorJitterProbability: Float(views.colorJitterProbability),
      grayscaleProbability: Float(views.grayscaleProbability),
      blurProbability: Float(views.blurProbabilities[number]),
      blurSigma: Float(views.blurSigma.lowerBound)...Float(views.blurSigma.upperBound),
      solarizeProbability: Float(views.solarizeProbabilities[number]))
    return result
  }
}

import Configuration
import Evaluation
import Foundation

/// The configuration of `peco perceptual train`: a vision transformer that learns from unlabeled images, MoCo v3
/// (Chen et al., 2104.02057), to serve as PeCo's perceptual network.
public struct PerceptualConfiguration: RunConfiguration {
  /// `model.*`: the vision transformer, with MoCo v3's positions and biases.
  public struct Model: Sendable, Equatable {
    public var dimensions = TransformerDimensions()
    /// Whether the patches' projection stays as it was drawn, against instability (section 4.2).
    public var fixedPatchProjection = true
  }

  /// `contrast.*`: what is compared, and by what.
  public struct Contrast: Sendable, Equatable {
    /// Width of the hidden layers of projector and predictor.
    public var hiddenWidth = 4096
    /// Width of what is compared.
    public var outputWidth = 256
    /// τ of the InfoNCE loss.
    public var temperature = 0.2
    /// Momentum of the momentum encoder at the start.
    public var momentum = 0.99
    /// And at the end, reached along a cosine.
    public var momentumEnd = 1.0

    /// The momentum of a step, counted from 0: along a cosine from the first value to the last (section 4.1).
    public func momentum(inStep step: Int, of steps: Int) -> Double {
      let way = (1 - cos(Double.pi * Double(step) / Double(steps))) / 2
      return momentum + (momentumEnd - momentum) * way
    }
  }

  /// `views.*`: what happens to the two views, first and second, besides crop, flip and colors.
  public struct Views: Sendable, Equatable {
    /// How often the colors of a view change.
    public var colorJitterProbability = 0.8
    /// How often a view turns gray.
    public var grayscaleProbability = 0.2
    /// How often each view is blurred.
    public var blurProbabilities = [1.0, 0.1]
    /// The blur's least and greatest deviation, in pixels of the view.
    public var blurSigma = 0.1...2.0
    /// How often each view is solarized.
    public var solarizeProbabilities = [0.0, 0.2]
  }

  /// `evaluation.*`: the classes of images guessed from those of their nearest neighbors, as a measure of progress.
  public struct Evaluation: Sendable, Equatable {
    /// From one evaluation to the next; nil for none.
    public var every: TrainingSpan?
    /// A labeled dataset whose images are classified; nil takes them from `data.path`.
    public var path: String?
    /// What is compared, and how neighbors vote.
    public var settings = NeighborEvaluation.Settings()
  }

  public var shared: SharedConfiguration
  public var model = Model()
  public var contrast = Contrast()
  public var views = Views()
  public var evaluation = Evaluation()

  /// The paper's settings of what every run has.
  public static var sharedDefaults: SharedConfiguration {
    var defaults = SharedConfiguration()
    defaults.data.colorJitter = 0.4
    defaults.data.mean = ImageNormalization.imageNet.mean
    defaults.data.standardDeviation = ImageNormalization.imageNet.standardDeviation
    defaults.training.globalBatchSize = 4096
    defaults.training.microBatchSize = 4096
    defaults.optimizer.learningRate = 1.5e-4
    defaults.optimizer.scaleLearningRateByBatch = 256
    defaults.optimizer.weightDecay = 0.1
    return defaults
  }

  public init(_ reader: ConfigurationReader) {
    shared = SharedConfiguration(reader, defaults: Self.sharedDefaults)
    readModel(reader)
    readContrast(reader)
    readViews(reader)
    readEvaluation(reader)
    requireEffects(reader)
  }

  private func requireEffects(_ reader: ConfigurationReader) {
    reader.requireEffect(
      of: ["evaluation"], except: ["evaluation.every_steps", "evaluation.every_epochs"],
      evaluation.every != nil, needed: "evaluation.every_epochs or every_steps")
    reader.requireEffect(
      of: ["views.color_jitter_probability"], shared.data.colorJitter > 0, needed: "data.color_jitter above 0"
    )
    reader.requireEffect(
      of: ["data.color_jitter"], views.colorJitterProbability > 0,
      needed: "views.color_jitter_probability above 0")
    reader.requireEffect(
      of: ["views.blur_sigma"], views.blurProbabilities.contains { $0 > 0 },
      needed: "one of views.blur_probabilities above 0")
  }

  private mutating func readModel(_ reader: ConfigurationReader) {
    model.dimensions = TransformerDimensions(reader, imageSize: shared.data.imageSize, leastWidth: 4)
    let width = model.dimensions.width
    model.fixedPatchProjection = reader.value(
      "model.fixed_patch_projection", .bool, default: model.fixedPatchProjection)
    reader.require(
      width % 4 == 0, "model.width",
      "found \(width), expected a multiple of 4, for the sines and cosines of rows and columns")
  }

  private mutating func readContrast(_ reader: ConfigurationReader) {
    contrast.hiddenWidth = reader.value(
      "contrast.hidden_width", .int(.between(1, 65536)), default: contrast.hiddenWidth)
    contrast.outputWidth = reader.value(
      "contrast.output_width", .int(.between(1, 65536)), default: contrast.outputWidth)
    contrast.temperature = reader.value(
      "contrast.temperature", .double(.between(0.001, 100)), default: contrast.temperature)
    contrast.momentum = reader.value(
      "contrast.momentum", .double(.between(0, 1)), default: contrast.momentum)
    contrast.momentumEnd = reader.value(
      "contrast.momentum_end", .double(.between(0, 1)), default: contrast.momentumEnd)
    reader.require(
      shared.training.globalBatchSize > 1, "training.global_batch_size",
      "found 1: an image is told apart from the others of its batch; expected 2 and more")
  }

  private mutating func readViews(_ reader: ConfigurationReader) {
    func probability(_ key: String, _ fallback: Double) -> Double {
      reader.value("views.\(key)", .double(.between(0, 1)), default: fallback)
    }
    func probabilities(_ key: String, _ fallback: [Double]) -> [Double] {
      reader.value("views.\(key)", .list(of: .double(.between(0, 1)), count: 2), default: fallback)
    }
    views.colorJitterProbability = probability("color_jitter_probability", views.colorJitterProbability)
    views.grayscaleProbability = probability("grayscale_probability", views.grayscaleProbability)
    views.blurProbabilities = probabilities("blur_probabilities", views.blurProbabilities)
    let sigma = reader.value(
      "views.blur_sigma", .list(of: .double(.between(0.01, 64)), count: 2),
      default: [views.blurSigma.lowerBound, views.blurSigma.upperBound])
    reader.require(
      sigma[0] <= sigma[1], "views.blur_sigma",
      "found [\(sigma[0]), \(sigma[1])], expected the smaller deviation first")
    views.blurSigma = min(sigma[0], sigma[1])...max(sigma[0], sigma[1])
    views.solarizeProbabilities = probabilities("solarize_probabilities", views.solarizeProbabilities)
  }

  private mutating func readEvaluation(_ reader: ConfigurationReader) {
    evaluation.every = TrainingSpan.read(
      reader, steps: "evaluation.every_steps", epochs: "evaluation.every_epochs", least: 1, default: nil)
    evaluation.path = reader.optional("evaluation.path", .text("the path of a labeled image dataset"))
    evaluation.settings.queries = reader.value(
      "evaluation.queries", .int(.atLeast(1)), default: evaluation.settings.queries)
    evaluation.settings.bank = reader.value(
      "evaluation.bank", .int(.atLeast(1)), default: evaluation.settings.bank)
    evaluation.settings.neighbors = reader.value(
      "evaluation.neighbors", .int(.atLeast(1)), default: evaluation.settings.neighbors)
    evaluation.settings.temperature = reader.value(
      "evaluation.temperature", .double(.between(0.001, 100)), default: evaluation.settings.temperature)
    evaluation.settings.crop = reader.value(
      "evaluation.crop", .double(.between(0.01, 1)), default: evaluation.settings.crop)
  }
}

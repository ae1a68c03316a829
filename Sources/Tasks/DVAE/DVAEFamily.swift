import Configuration
import Models
import Tensors
import TokenizerSupport
import Trainer

/// BEiT's tokenizers: a token is the greatest of the encoder's logits (a discrete VAE, as DALL-E's).
///
/// `dvae.*` says how tokens are sampled in training, and held near the uniform prior. The schedules go along half a
/// cosine.
public struct DVAEFamily: TokenizerFamily {
  public static let kind = "dvae"
  public static let hasLikelihood = true
  public static let ownKeys = ["dvae"]

  /// Temperature of the Gumbel-softmax at the first step.
  public var temperature = 1.0
  /// Temperature after `temperatureSteps`.
  public var minimumTemperature = 1.0 / 16
  public var temperatureSteps = 150_000
  /// Weight of the divergence from the uniform prior, the mean over tokens in nats, after `klSteps`; it rises from 0.
  /// DALL-E's is 6.6 before sums; a token stands for 8 · 8 · 3 = 192 values.
  public var klWeight = 0.034375
  public var klSteps = 5_000

  /// The temperature of a step, counted from 0.
  public func temperature(at step: Int) -> Double {
    Self.anneal(from: temperature, to: minimumTemperature, over: temperatureSteps, at: step)
  }

  /// The weight of the divergence at a step, counted from 0.
  public func klWeight(at step: Int) -> Double {
    Self.anneal(from: 0, to: klWeight, over: klSteps, at: step)
  }

  private static func anneal(from start: Double, to end: Double, over steps: Int, at step: Int) -> Double {
    Schedule(shape: .cosine, peak: start, end: end, steps: steps)(step)
  }

  public static func setDefaults(of settings: inout TokenizerSettings) {
    let dalle = DVAEConfiguration()
    settings.model.baseWidth = dalle.baseWidth
    settings.model.channelMultipliers = dalle.channelMultipliers
    settings.model.blocksPerLevel = dalle.blocksPerGroup
    settings.codebook.dimension = dalle.codebookDimension
  }

  public init(_ reader: ConfigurationReader) {
    temperature = reader.value("dvae.temperature", .double(.above(0)), default: temperature)
    minimumTemperature = reader.value(
      "dvae.minimum_temperature", .double(.above(0)), default: minimumTemperature)
    temperatureSteps = reader.value(
      "dvae.temperature_steps", .int(.atLeast(0)), default: temperatureSteps)
    klWeight = reader.value("dvae.kl_weight", .double(.atLeast(0)), default: klWeight)
    klSteps = reader.value("dvae.kl_steps", .int(.atLeast(0)), default: klSteps)
  }

  public func validate(_ settings: TokenizerSettings, isChosen: Bool, _ reader: ConfigurationReader) {
    reader.require(
      minimumTemperature <= temperature, "dvae.minimum_temperature",
      "found \(minimumTemperature), expected at most dvae.temperature, which is \(temperature)")
    reader.requireEffect(
      of: ["dvae.temperature"], temperatureSteps > 0, needed: "dvae.temperature_steps above 0")
    reader.requireEffect(
      of: ["dvae.temperature_steps"], minimumTemperature < temperature,
      needed: "dvae.minimum_temperature below dvae.temperature")
    reader.requireEffect(of: ["dvae.kl_steps"], klWeight > 0, needed: "dvae.kl_weight above 0")
    let model = settings.model
    reader.require(
      !isChosen || model.channelMultipliers.allSatisfy { $0 * model.baseWidth % 4 == 0 },
      "model.base_width", "found \(model.baseWidth), expected a multiple of 4 for model.kind \(Self.kind)")
  }

  /// The discrete VAE that a configuration describes.
  public func architecture(_ settings: TokenizerSettings) -> DVAEConfiguration {
    var result = DVAEConfiguration()
    result.imageSize = settings.shared.data.imageSize
    result.baseWidth = settings.model.baseWidth
    result.channelMultipliers = settings.model.channelMultipliers
    result.blocksPerGroup = settings.model.blocksPerLevel
    result.vocabulary = settings.codebook.size
    result.codebookDimension = settings.codebook.dimension
    return result
  }

  public static func makeModel(
    _ architecture: DVAEConfiguration, in scope: ParameterScope
  ) throws -> any Tokenizer {
    try DVAE(architecture, in: scope)
  }

  public func makeTask(
    _ settings: TokenizerSettings, perceptual: (any PerceptualNetwork)?
  ) throws -> any TrainingTask {
    try DVAETask(self, settings, perceptual: perceptual)
  }
}

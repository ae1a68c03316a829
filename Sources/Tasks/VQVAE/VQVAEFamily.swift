import Configuration
import Layers
import Models
import Tensors
import TokenizerSupport
import Trainer

/// PeCo's tokenizers: a token is the index of the nearest codebook entry (section 3.1 and 3.2).
public struct VQVAEFamily: TokenizerFamily {
  public static let kind = "vqvae"
  public static let ownKeys = [
    "codebook.learning", "codebook.normalize", "codebook.decay", "codebook.commitment_weight",
    "codebook.revival_threshold", "codebook.revive_every_steps", "model.attention",
  ]

  /// `codebook.*`: the vector quantizer.
  public struct Codebook: Sendable, Equatable {
    /// What the codebook entries follow.
    public var learning = VectorQuantizer.Learning.movingAverage
    /// Whether encoder outputs and codebook entries are compared and used at length 1.
    public var normalize = false
    /// Decay of the moving averages that the codebook entries follow.
    public var decay = 0.99
    /// Weight of the commitment loss, the paper's β.
    public var commitmentWeight = 0.25
    /// A codebook entry is replaced by an encoder output when fewer outputs a step than this choose it, on average.
    public var revivalThreshold = 0.03
    /// Steps from one look for dead entries to the next; the first, after step 1, fills the whole codebook with
    /// encoder outputs. 0: never.
    public var reviveEverySteps = 100
  }

  /// `adversarial.*`: a discriminator that tells reconstructions from images (VQGAN; PeCo's studied extra).
  public struct Adversarial: Sendable, Equatable {
    /// What kind of network it is.
    public enum Discriminator: String, Sendable, CaseIterable {
      case none
      /// VQGAN's, which scores overlapping patches.
      case patch
    }

    public var discriminator = Discriminator.none
    /// Multiplies the adaptive weight λ.
    public var weight = 0.8
    /// The first step, counted from 0, that has the loss, and that trains the discriminator.
    public var startStep = 0
    /// Channels after the discriminator's first convolution.
    public var baseWidth = 64
    /// Its convolutions that halve the image.
    public var layers = 3
    /// Its learning rate over the tokenizer's.
    public var learningRateScale = 1.0
  }

  /// `model.attention`: whether the smallest level attends to itself.
  public var attention = true
  public var codebook = Codebook()
  public var adversarial = Adversarial()

  public init(_ reader: ConfigurationReader) {
    attention = reader.value("model.attention", .bool, default: attention)
    codebook.learning = reader.value("codebook.learning", .choice(), default: codebook.learning)
    codebook.normalize = reader.value("codebook.normalize", .bool, default: codebook.normalize)
    codebook.decay = reader.value(
      "codebook.decay", .double(.between(0, 0.999999)), default: codebook.decay)
    codebook.commitmentWeight = reader.value(
      "codebook.commitment_weight", .double(.atLeast(0)), default: codebook.commitmentWeight)
    codebook.revivalThreshold = reader.value(
      "codebook.revival_threshold", .double(.atLeast(0)), default: codebook.revivalThreshold)
    codebook.reviveEverySteps = reader.value(
      "codebook.revive_every_steps", .int(.atLeast(0)), default: codebook.reviveEverySteps)

    adversarial.discriminator = reader.value(
      "adversarial.discriminator", .choice(), default: adversarial.discriminator)
    adversarial.weight = reader.value(
      "adversarial.weight", .double(.atLeast(0)), default: adversarial.weight)
    adversarial.startStep = reader.value(
      "adversarial.start_step", .int(.atLeast(0)), default: adversarial.startStep)
    adversarial.baseWidth = reader.value(
      "adversarial.base_width", .int(.between(1, 4096)), default: adversarial.baseWidth)
    adversarial.layers = reader.value(
      "adversarial.layers", .int(.between(1, 8)), default: adversarial.layers)
    adversarial.learningRateScale = reader.value(
      "adversarial.learning_rate_scale", .double(.above(0)), default: adversarial.learningRateScale)
  }

  public func validate(_ settings: TokenizerSettings, isChosen: Bool, _ reader: ConfigurationReader) {
    requireEffects(settings, reader)
    guard adversarial.discriminator != .none else { return }
    reader.require(
      isChosen, "adversarial.discriminator",
      "found \(adversarial.discriminator.rawValue), which only model.kind \(Self.kind) is trained with")
    var size = PatchDiscriminatorConfiguration()
    size.layers = adversarial.layers
    reader.require(
      size.scores(ofSide: settings.shared.data.imageSize) >= 1, "adversarial.layers",
      "found \(adversarial.layers), too many for images of \(settings.shared.data.imageSize) pixels: a side halved "
        + "so often must leave at least 3")
  }

  private func requireEffects(_ settings: TokenizerSettings, _ reader: ConfigurationReader) {
    reader.requireEffect(
      of: ["adversarial"], except: ["adversarial.discriminator"], adversarial.discriminator != .none,
      needed: "adversarial.discriminator patch")
    if adversarial.discriminator != .none, case .steps(let steps) = settings.shared.training.length {
      reader.requireEffect(
        of: ["adversarial"], adversarial.startStep < steps,
        needed: "adversarial.start_step below training.steps")
    }
    reader.requireEffect(
      of: ["codebook.revival_threshold"], codebook.reviveEverySteps > 0,
      needed: "codebook.revive_every_steps above 0")
    reader.requireEffect(
      of: ["codebook.decay"], codebook.learning == .movingAverage || codebook.reviveEverySteps > 0,
      needed: "codebook.learning ema, or codebook.revive_every_steps above 0")
  }

  /// The VQ-VAE that a configuration describes.
  public func architecture(_ settings: TokenizerSettings) -> VQVAEConfiguration {
    var result = VQVAEConfiguration()
    result.imageSize = settings.shared.data.imageSize
    result.baseWidth = settings.model.baseWidth
    result.channelMultipliers = settings.model.channelMultipliers
    result.blocksPerLevel = settings.model.blocksPerLevel
    result.attentionAtSmallestLevel = attention
    result.codebookSize = settings.codebook.size
    result.codebookDimension = settings.codebook.dimension
    result.codebookDecay = codebook.decay
    result.codebookLearning = codebook.learning
    result.normalizesCodebook = codebook.normalize
    result.commitmentWeight = Float(codebook.commitmentWeight)
    return result
  }

  public static func makeModel(
    _ architecture: VQVAEConfiguration, in scope: ParameterScope
  ) throws -> any Tokenizer {
    try VQVAE(architecture, in: scope)
  }

  public func makeTask(
    _ settings: TokenizerSettings, perceptual: (any PerceptualNetwork)?
  ) throws -> any TrainingTask {
    try VQVAETask(self, settings, perceptual: perceptual)
  }

  public func warning(microBatchSize: Int, ranks: Int, _ settings: TokenizerSettings) -> String? {
    guard adversarial.discriminator != .none else { return nil }
    return """
      the weight of the adversarial loss is adapted to each micro-batch, of \(microBatchSize) images on \
      \(ranks) ranks where training.micro_batch_size is \(settings.shared.training.microBatchSize): the tokenizer \
      will be another than on fewer ranks
      """
  }
}

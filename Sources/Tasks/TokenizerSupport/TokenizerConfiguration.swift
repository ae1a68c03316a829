import Configuration
import Layers
import Models
import Trainer

/// The configuration of `peco tokenizer train`: a VQ-VAE with perceptual loss (PeCo, section 3.1 and 3.2), or the
/// discrete VAE that BEiT takes its tokens from.
public struct TokenizerConfiguration: RunConfiguration {
  /// `model.*`: the encoder and the decoder.
  public struct Model: Sendable, Equatable {
    /// How tokens come about.
    public enum Kind: String, Sendable, CaseIterable {
      /// By the nearest vector of a codebook.
      case vqvae
      /// By the greatest of the encoder's logits.
      case dvae
    }

    public var kind = Kind.vqvae
    /// Channels at the first level.
    public var baseWidth = 128
    /// Channels of each level over those of the first; each level but the first halves the image's side.
    public var channelMultipliers = [1, 1, 2, 2, 4]
    /// Residual blocks at each level.
    public var blocksPerLevel = 2
    /// Whether the smallest level attends to itself.
    public var attention = true

    /// Pixels of the image along one side of a token.
    public var patchSize: Int { 1 << min(channelMultipliers.count - 1, 16) }
  }

  /// `codebook.*`: the vector quantizer.
  public struct Codebook: Sendable, Equatable {
    /// Number of tokens.
    public var size = 8192
    /// Elements of a token.
    public var codebookDimension = 256
    /// What the tokens follow.
    public var learning = VectorQuantizer.Learning.movingAverage
    /// Whether vectors and tokens are compared and used at length 1.
    public var normalize = false
    /// Decay of the moving averages that the tokens follow.
    public var decay = 0.99
    /// Weight of the commitment loss, the paper's β.
    public var commitmentWeight = 0.25
    /// A token is replaced by an encoder output when fewer vectors a step than this choose it, on average.
    public var revivalThreshold = 0.03
    /// Steps from one look for dead tokens to the next; the first, after step 1, fills the whole codebook with
    /// encoder outputs. 0: never.
    public var reviveEverySteps = 100
  }

  /// `dvae.*`: how the tokens of a discrete VAE are sampled in training, and held near the uniform prior. The schedules
  /// go along half a cosine.
  public struct DiscreteVAE: Sendable, Equatable {
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
  }

  /// `loss.*`: what the decoder is asked for.
  public struct Loss: Sendable, Equatable {
    /// How two pixels differ.
    public enum Pixel: String, Sendable, CaseIterable {
      /// By absolute value.
      case l1
      /// By square.
      case l2
      /// By likelihood under the distribution that a discrete VAE's decoder gives.
      case logitLaplace = "logit_laplace"
    }

    public var pixel = Pixel.l2
    /// Weight of the pixels' difference.
    public var pixelWeight = 1.0
    /// Weight of the features' difference, the paper's λ.
    public var perceptualWeight = 1.0
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

  /// `perceptual.*`: the network whose features an image and its reconstruction should share.
  public struct Perceptual: Sendable, Equatable {
    /// What kind of network it is.
    public typealias Network = PerceptualNetworkKind

    public var network = Network.none
    /// Path of the weights, or `random`; nil without a network.
    public var weights: String?
    /// Depths that are compared, counted from 1: blocks of a ViT, stages of VGG-16 and ResNet-50. Nil: four of equal
    /// distance for a ViT, all stages for the others.
    public var taps: [Int]?
    /// How features are compared.
    public var comparison = FeatureComparison.meanSquared
    /// Path of LPIPS's channel weights; nil where all channels count the same.
    public var channelWeights: String?
    /// Side of the images it is shown, averaged down to; nil: as they are.
    public var imageSize: Int?
    /// Size of a ViT.
    public var size = ViTSize.base
    /// Its attention heads; nil where its weights say it, or the size.
    public var heads: Int?
    /// Side of a ViT's patches.
    public var patchSize = 16
  }

  public var shared: SharedConfiguration
  public var model = Model()
  public var codebook = Codebook()
  public var dvae = DiscreteVAE()
  public var loss = Loss()
  public var adversarial = Adversarial()
  public var perceptual = Perceptual()

  /// The paper's settings of what every run has.
  public static var sharedDefaults: SharedConfiguration {
    var defaults = SharedConfiguration()
    defaults.training.globalBatchSize = 128
    defaults.training.microBatchSize = 4
    defaults.optimizer.name = .adam
    defaults.optimizer.learningRate = 5e-5
    defaults.optimizer.betas = [0.5, 0.95]
    defaults.optimizer.weightDecay = 0
    // A vector between two tokens takes the other one for a difference in the last bit of a weight.
    defaults.communication.reduceDtype = .float64
    return defaults
  }

  public init(_ reader: ConfigurationReader) {
    shared = SharedConfiguration(reader, defaults: Self.sharedDefaults)
    for (key, values) in [
      ("data.mean", shared.data.mean), ("data.std", shared.data.standardDeviation),
    ] {
      reader.require(
        values.allSatisfy { $0 == 0.5 }, key,
        "found \(values), expected [0.5, 0.5, 0.5] or nothing: a tokenizer sees pixels from -1 to 1")
    }

    model.kind = reader.value("model.kind", .choice(), default: model.kind)
    if model.kind == .dvae {
      let dalle = DVAEConfiguration()
      (model.baseWidth, model.channelMultipliers) = (dalle.baseWidth, dalle.channelMultipliers)
      (model.blocksPerLevel, codebook.codebookDimension) = (dalle.blocksPerGroup, dalle.codebookDimension)
    }
    model.baseWidth = reader.value("model.base_width", .int(.between(1, 4096)), default: model.baseWidth)
    model.channelMultipliers = reader.value(
      "model.channel_multipliers", .list(of: .int(.between(1, 64))), default: model.channelMultipliers)
    model.blocksPerLevel = reader.value(
      "model.blocks_per_level", .int(.between(1, 64)), default: model.blocksPerLevel)
    model.attention = reader.value("model.attention", .bool, default: model.attention)
    reader.require(
      shared.data.imageSize % model.patchSize == 0, "data.image_size",
      "found \(shared.data.imageSize), expected a multiple of \(model.patchSize), by which the "
        + "\(model.channelMultipliers.count) levels of model.channel_multipliers divide the image's side")

    codebook.size = reader.value("codebook.size", .int(.between(2, 1 << 24)), default: codebook.size)
    codebook.codebookDimension = reader.value(
      "codebook.dimension", .int(.between(1, 65536)), default: codebook.codebookDimension)
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

    readDiscreteVAE(reader)

    loss.pixel = reader.value("loss.pixel", .choice(), default: loss.pixel)
    reader.require(
      loss.pixel != .logitLaplace || model.kind == .dvae, "loss.pixel",
      "found logit_laplace, which needs the distribution that only model.kind dvae gives; expected l1 or l2")
    loss.pixelWeight = reader.value("loss.pixel_weight", .double(.atLeast(0)), default: loss.pixelWeight)
    loss.perceptualWeight = reader.value(
      "loss.perceptual_weight", .double(.atLeast(0)), default: loss.perceptualWeight)

    readAdversarial(reader)
    readPerceptual(reader)
    requireEffects(reader)
  }

  private func requireEffects(_ reader: ConfigurationReader) {
    func keys(_ section: String, _ names: String...) -> [String] { names.map { "\(section).\($0)" } }
    reader.requireEffect(of: ["dvae"], model.kind == .dvae, needed: "model.kind dvae")
    reader.requireEffect(
      of: keys("codebook", "learning", "normalize", "decay", "commitment_weight", "revival_threshold")
        + ["codebook.revive_every_steps", "model.attention"], model.kind == .vqvae, needed: "model.kind vqvae"
    )
    reader.requireEffect(
      of: keys("adversarial", "weight", "start_step", "base_width", "layers", "learning_rate_scale"),
      adversarial.discriminator != .none, needed: "adversarial.discriminator patch")
    reader.requireEffect(
      of: ["loss.perceptual_weight", "perceptual.comparison"], perceptual.network != .none,
      needed: "a perceptual.network")
    reader.requireEffect(
      of: keys("perceptual", "size", "heads", "patch_size"), perceptual.network == .vit,
      needed: "perceptual.network vit")
  }

  private mutating func readPerceptual(_ reader: ConfigurationReader) {
    perceptual.network = reader.value("perceptual.network", .choice(), default: perceptual.network)
    perceptual.weights = reader.optional("perceptual.weights", .text("the path of a file, or 'random'"))
    perceptual.taps = reader.optional("perceptual.taps", .list(of: .int(.between(1, 1000))))
    perceptual.comparison = reader.value(
      "perceptual.comparison", .choice(), default: perceptual.comparison)
    perceptual.channelWeights = reader.optional(
      "perceptual.channel_weights", .text("the path of LPIPS's channel weights"))
    reader.require(
      perceptual.channelWeights == nil || perceptual.comparison == .unitChannels,
      "perceptual.channel_weights",
      "belong to features of unit length; they need perceptual.comparison: unit_channels")
    perceptual.imageSize = reader.optional("perceptual.image_size", .int(.between(8, 4096)))
    perceptual.size = reader.value("perceptual.size", .choice(), default: perceptual.size)
    perceptual.heads = reader.optional("perceptual.heads", .int(.between(1, 1024)))
    perceptual.patchSize = reader.value(
      "perceptual.patch_size", .int(.between(1, 256)), default: perceptual.patchSize)
    if perceptual.network == .none {
      for key in ["weights", "taps", "channel_weights", "image_size", "heads"].map({ "perceptual.\($0)" }) {
        reader.require(
          !reader.isGiven(key), key,
          "is about a perceptual network, but there is none; give perceptual.network, or leave this out")
      }
    }
    reader.require(
      perceptual.network == .none || perceptual.weights != nil, "perceptual.weights",
      "missing; the network \(perceptual.network.rawValue) needs the path of its weights, or 'random'")
    if let taps = perceptual.taps {
      // How deep a transformer out of a file is, the file tells.
      let depth: Int? =
        switch perceptual.network {
        case .vgg16: 5
        case .resnet50: 4
        default: perceptual.weights == "random" ? perceptual.size.depth : nil
        }
      reader.require(
        zip(taps, taps.dropFirst()).allSatisfy { $0 < $1 } && taps[taps.count - 1] <= depth ?? .max,
        "perceptual.taps",
        "found \(taps), expected rising numbers from 1" + (depth.map { " to \($0)" } ?? ""))
    }
    if let side = perceptual.imageSize {
      reader.require(
        shared.data.imageSize % side == 0, "perceptual.image_size",
        "found \(side), expected a divisor of data.image_size, which is \(shared.data.imageSize)")
    }
    if perceptual.network == .vgg16 {
      let deepest = perceptual.taps?.last ?? 5
      let side = perceptual.imageSize ?? shared.data.imageSize
      let least = 1 << (min(deepest, 5) - 1)
      reader.require(
        side >= least, perceptual.imageSize == nil ? "data.image_size" : "perceptual.image_size",
        "found \(side), expected at least \(least): vgg16 halves images before each stage but the first, and stage "
          + "\(deepest) is asked for")
    }
    // A file tells its patches itself.
    if perceptual.network == .vit, perceptual.weights == "random" {
      let side = perceptual.imageSize ?? shared.data.imageSize
      reader.require(
        side % perceptual.patchSize == 0,
        perceptual.imageSize == nil ? "perceptual.patch_size" : "perceptual.image_size",
        "images of \(side) pixels cannot be cut into patches of \(perceptual.patchSize)")
    }
  }

  private mutating func readAdversarial(_ reader: ConfigurationReader) {
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
    guard adversarial.discriminator != .none else { return }
    reader.require(
      model.kind == .vqvae, "adversarial.discriminator",
      "found \(adversarial.discriminator.rawValue), which only model.kind vqvae is trained with")
    var size = PatchDiscriminatorConfiguration()
    size.layers = adversarial.layers
    reader.require(
      size.scores(ofSide: shared.data.imageSize) >= 1, "adversarial.layers",
      "found \(adversarial.layers), too many for images of \(shared.data.imageSize) pixels: a side halved so often "
        + "must leave at least 3")
  }

  private mutating func readDiscreteVAE(_ reader: ConfigurationReader) {
    dvae.temperature = reader.value("dvae.temperature", .double(.above(0)), default: dvae.temperature)
    dvae.minimumTemperature = reader.value(
      "dvae.minimum_temperature", .double(.above(0)), default: dvae.minimumTemperature)
    dvae.temperatureSteps = reader.value(
      "dvae.temperature_steps", .int(.atLeast(0)), default: dvae.temperatureSteps)
    dvae.klWeight = reader.value("dvae.kl_weight", .double(.atLeast(0)), default: dvae.klWeight)
    dvae.klSteps = reader.value("dvae.kl_steps", .int(.atLeast(0)), default: dvae.klSteps)
    reader.require(
      dvae.minimumTemperature <= dvae.temperature, "dvae.minimum_temperature",
      "found \(dvae.minimumTemperature), expected at most dvae.temperature, which is \(dvae.temperature)")
    reader.require(
      model.kind != .dvae || model.channelMultipliers.allSatisfy { $0 * model.baseWidth % 4 == 0 },
      "model.base_width", "found \(model.baseWidth), expected a multiple of 4 for model.kind dvae")
  }
}

import Configuration
import Models

/// What the configuration of every tokenizer has, of whatever family: its sizes, and what its decoder is asked for.
public struct TokenizerSettings: Sendable, Equatable {
  /// The metrics that tell most of a tokenizer's success, whatever its family.
  public static let headlines = ["psnr", "codebook_perplexity"]

  /// `model.*`: the encoder and the decoder.
  public struct Model: Sendable, Equatable {
    /// Channels at the first level.
    public var baseWidth = 128
    /// Channels of each level over those of the first; each level but the first halves the image's side.
    public var channelMultipliers = [1, 1, 2, 2, 4]
    /// Residual blocks at each level.
    public var blocksPerLevel = 2

    /// Pixels of the image along one side of a token.
    public var patchSize: Int { 1 << min(channelMultipliers.count - 1, 16) }
  }

  /// `codebook.*`: the vectors whose indices are tokens.
  public struct Codebook: Sendable, Equatable {
    /// Number of codebook entries.
    public var size = 8192
    /// Elements of a codebook entry.
    public var dimension = 256
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

  /// `perceptual.*`: the network whose features an image and its reconstruction should share.
  public struct Perceptual: Sendable, Equatable {
    /// The word for no network.
    package static let none = "none"

    /// What kind of network it is: the name of a family, or `none`.
    public var network = Self.none
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

    /// The family of the network; nil where there is none.
    package var family: (any PerceptualFamily.Type)? {
      PerceptualNetworks.families.first { $0.name == network }
    }
  }

  public var shared: SharedConfiguration
  public var model = Model()
  public var codebook = Codebook()
  public var loss = Loss()
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

  /// Reads what every run has.
  package init(_ reader: ConfigurationReader) {
    shared = SharedConfiguration(reader, defaults: Self.sharedDefaults)
    for (key, values) in [
      ("data.mean", shared.data.mean), ("data.std", shared.data.standardDeviation),
    ] {
      reader.require(
        values.allSatisfy { $0 == 0.5 }, key,
        "found \(values), expected [0.5, 0.5, 0.5] or nothing: a tokenizer sees pixels from -1 to 1")
    }
  }

  /// Reads what a perceptual network needs, and nothing of training: no dataset, steps or sizes.
  package init(perceptualNetwork reader: ConfigurationReader) {
    shared = Self.sharedDefaults
    shared.seed = reader.value("seed", .seed, default: shared.seed)
    shared.data.imageSize = reader.value("data.image_size", .imageSide, default: shared.data.imageSize)
    readPerceptual(reader)
    requireEffectOnPerceptualNetwork(reader)
  }

  /// Demands that what is set concerns the perceptual network, where that alone is wanted.
  package func requireEffectOnPerceptualNetwork(_ reader: ConfigurationReader) {
    reader.requireEffect(of: ["seed"], perceptual.weights == "random", needed: "perceptual.weights random")
    reader.requireEffect(
      except: ["seed", "data.image_size", "loss.perceptual_weight", "perceptual"], false,
      needed: "a tokenizer's training")
  }

  /// Reads the sizes.
  package mutating func readSizes(_ reader: ConfigurationReader) {
    model.baseWidth = reader.value("model.base_width", .int(.between(1, 4096)), default: model.baseWidth)
    model.channelMultipliers = reader.value(
      "model.channel_multipliers", .list(of: .int(.between(1, 64))), default: model.channelMultipliers)
    model.blocksPerLevel = reader.value(
      "model.blocks_per_level", .int(.between(1, 64)), default: model.blocksPerLevel)
    reader.require(
      shared.data.imageSize % model.patchSize == 0, "data.image_size",
      "found \(shared.data.imageSize), expected a multiple of \(model.patchSize), by which the "
        + "\(model.channelMultipliers.count) levels of model.channel_multipliers divide the image's side")
    codebook.size = reader.value("codebook.size", .int(.between(2, 1 << 24)), default: codebook.size)
    codebook.dimension = reader.value(
      "codebook.dimension", .int(.between(1, 65536)), default: codebook.dimension)
  }

  /// Reads what the decoder is asked for.
  package mutating func readLosses(_ reader: ConfigurationReader) {
    loss.pixel = reader.value("loss.pixel", .choice(), default: loss.pixel)
    loss.pixelWeight = reader.value("loss.pixel_weight", .double(.atLeast(0)), default: loss.pixelWeight)
    loss.perceptualWeight = reader.value(
      "loss.perceptual_weight", .double(.atLeast(0)), default: loss.perceptualWeight)
    readPerceptual(reader)
    let isCompared = perceptual.family != nil && loss.perceptualWeight > 0
    reader.requireEffect(
      of: ["loss.perceptual_weight"], perceptual.family != nil, needed: "a perceptual.network")
    reader.requireEffect(
      of: ["perceptual"], perceptual.family == nil || isCompared, needed: "loss.perceptual_weight above 0")
    // Attention alone computes again what it has not kept.
    reader.requireEffect(
      of: ["training.activation_checkpointing"], isCompared && perceptual.family?.hasAttention == true,
      needed: "a perceptual.network with attention")
  }

  private mutating func readPerceptual(_ reader: ConfigurationReader) {
    perceptual.network = reader.value(
      "perceptual.network", .choice(of: [Perceptual.none] + PerceptualNetworks.families.map { $0.name }),
      default: perceptual.network)
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
    perceptual.imageSize = reader.optional("perceptual.image_size", .imageSide)
    perceptual.size = reader.value("perceptual.size", .choice(), default: perceptual.size)
    perceptual.heads = reader.optional("perceptual.heads", .int(.between(1, 1024)))
    perceptual.patchSize = reader.value(
      "perceptual.patch_size", .int(.between(1, 256)), default: perceptual.patchSize)
    if perceptual.family == nil {
      for key in ["weights", "taps", "channel_weights", "image_size", "heads"].map({ "perceptual.\($0)" }) {
        reader.require(
          !reader.isGiven(key), key,
          "is about a perceptual network, but there is none; give perceptual.network, or leave this out")
      }
    }
    reader.require(
      perceptual.family == nil || perceptual.weights != nil, "perceptual.weights",
      "missing; the network \(perceptual.network) needs the path of its weights, or 'random'")
    if let taps = perceptual.taps {
      let depth = perceptual.family?.depth(perceptual)
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
    perceptual.family?.validate(self, reader)
    reader.requireEffect(
      of: ["perceptual.comparison"], perceptual.family != nil, needed: "a perceptual.network")
    for family in PerceptualNetworks.families {
      reader.requireEffect(
        of: family.ownKeys, perceptual.network == family.name, needed: "perceptual.network \(family.name)")
    }
  }
}

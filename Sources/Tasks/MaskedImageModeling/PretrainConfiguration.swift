import Configuration
import Imaging

/// The configuration of `peco pretrain`: masked image modeling against a tokenizer's tokens (PeCo, section 3.3;
/// BEiT, section 2).
public struct PretrainConfiguration: RunConfiguration {
  /// `model.*`: the vision transformer.
  public struct Model: Sendable, Equatable {
    /// How a token knows where it lies.
    public typealias Positions = PositionKind

    public var dimensions = TransformerDimensions()
    /// First value of layer scale; nil leaves it out.
    public var layerScale: Double? = 0.1
    /// Part of the samples that skip the last block's branches; it grows in a line from 0 at the first.
    public var dropPath = 0.1
    public var positions = Positions.sharedRelative
  }

  /// `masking.*`: which patches are hidden.
  public struct Masking: Sendable, Equatable {
    /// How patches are chosen.
    public typealias Kind = ModelCard.Masking.Kind

    /// How many patches are hidden.
    public enum Amount: Sendable, Equatable {
      case count(Int)
      case ratio(Double)
    }

    public var kind = Kind.blockwise
    public var amount = Amount.count(75)
    /// Fewest patches of a block.
    public var minimumBlock = 16
    /// Least ratio of a block's height to its width; the most is its inverse.
    public var aspect = 0.3

    /// How many of `patches` are hidden.
    public func count(of patches: Int) -> Int {
      switch amount {
      case .count(let count): count
      case .ratio(let ratio): Int((ratio * Double(patches)).rounded())
      }
    }
  }

  /// `target.*`: what is predicted, and where.
  public struct Target: Sendable, Equatable {
    /// What is predicted.
    public enum Kind: String, Sendable, CaseIterable {
      /// The tokenizer's tokens.
      case tokens
      /// Pixels, by the mean squared error; BEiT's ablation.
      case pixels
    }

    /// The patches that are predicted.
    public enum Positions: String, Sendable, CaseIterable {
      /// Those that are masked.
      case masked
      /// All of them; BEiT's ablation.
      case all
    }

    public var kind = Kind.tokens
    public var positions = Positions.masked
    /// Whether each patch's pixels are brought to mean 0 and variance 1 first.
    public var normalize = true
  }

  /// `tokens.*`: the tokens to be predicted.
  public struct Tokens: Sendable, Equatable {
    /// Where the tokens come from.
    public enum Source: Sendable, Equatable {
      /// A tokenizer's checkpoint; tokens are computed as training goes on.
      case tokenizer(String)
      /// A file made by `peco tokenizer encode`.
      case file(String)
    }

    public var source = Source.tokenizer("")
    /// Side of the images the tokenizer sees, which follows from the patches; where it is given it is checked.
    public var imageSize: Int?
    /// How crops are resized for the tokenizer.
    public var interpolation = ResampleFilter.bicubic
  }

  public var shared: SharedConfiguration
  public var model = Model()
  public var masking = Masking()
  public var target = Target()
  public var tokens = Tokens()

  /// Patches along a side of the image.
  public var grid: Int { shared.data.imageSize / model.dimensions.patchSize }

  /// The papers' settings of what every run has.
  public static var sharedDefaults: SharedConfiguration {
    SharedConfiguration.transformer
  }

  public init(_ reader: ConfigurationReader) {
    shared = SharedConfiguration(reader, defaults: Self.sharedDefaults)
    readModel(reader)
    readMasking(reader)

    target.kind = reader.value("target.kind", .choice(), default: target.kind)
    target.positions = reader.value("target.positions", .choice(), default: target.positions)
    target.normalize = reader.value("target.normalize", .bool, default: target.normalize)

    let given = reader.exclusive(["tokens.tokenizer", "tokens.file"], required: target.kind == .tokens)
    let tokenizer = reader.optional("tokens.tokenizer", .text("the path of a tokenizer's checkpoint"))
    let file = reader.optional("tokens.file", .text("the path of a file of tokens"))
    tokens.source = given == "tokens.file" ? .file(file ?? "") : .tokenizer(tokenizer ?? "")
    tokens.imageSize = reader.optional("tokens.image_size", .imageSide)
    tokens.interpolation = reader.value("tokens.interpolation", .choice(), default: tokens.interpolation)
    requireEffects(reader)
  }

  private func requireEffects(_ reader: ConfigurationReader) {
    let isTokens = target.kind == .tokens
    var isFile = false
    if isTokens, case .file = tokens.source { isFile = true }
    reader.requireEffect(of: ["tokens"], isTokens, needed: "target.kind tokens")
    reader.requireEffect(of: ["target.normalize"], !isTokens, needed: "target.kind pixels")
    // A file's tokens are those of the crops and flips that it has.
    reader.requireEffect(
      of: ["tokens.image_size", "tokens.interpolation", "data.crop_scale", "data.flip"], !isFile,
      needed: "tokens.tokenizer in the place of tokens.file")
    reader.requireEffect(
      of: ["masking.minimum_block", "masking.aspect"], masking.kind == .blockwise,
      needed: "masking.kind blockwise")
    TransformerDimensions.requireEffectOfDropPath(reader, depth: model.dimensions.depth)
  }

  private mutating func readModel(_ reader: ConfigurationReader) {
    model.dimensions = TransformerDimensions(reader, imageSize: shared.data.imageSize)
    model.layerScale = reader.optional("model.layer_scale", .double(.above(0)), default: model.layerScale)
    model.dropPath = reader.value("model.drop_path", .double(.from(0, below: 1)), default: model.dropPath)
    model.positions = reader.value("model.positions", .choice(), default: model.positions)
  }

  private mutating func readMasking(_ reader: ConfigurationReader) {
    masking.kind = reader.value("masking.kind", .choice(), default: masking.kind)
    let given = reader.exclusive(["masking.count", "masking.ratio"], required: true)
    let count = reader.optional("masking.count", .int(.atLeast(1)))
    let ratio = reader.optional("masking.ratio", .double(.between(0.001, 0.999)))
    masking.amount = ratio.map { .ratio($0) } ?? .count(count ?? 1)
    masking.minimumBlock = reader.value(
      "masking.minimum_block", .int(.atLeast(1)), default: masking.minimumBlock)
    masking.aspect = reader.value("masking.aspect", .double(.between(0.01, 1)), default: masking.aspect)
    let patches = grid * grid
    let masked = masking.count(of: patches)
    reader.require(
      masked >= 1 && masked < patches, given ?? "masking.count",
      "hides \(masked) of \(patches) patches (\(grid) × \(grid)), expected 1 to \(patches - 1)")
    reader.require(
      masking.kind == .random || masking.minimumBlock <= masked, "masking.minimum_block",
      "found \(masking.minimumBlock), more than the \(masked) patches to be hidden: no block would fit")
  }
}

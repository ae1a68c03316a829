import Models

/// `model.*`: how large a vision transformer is.
public struct TransformerDimensions: Sendable, Equatable {
  /// The size that gives width, depth and heads where they are not given themselves.
  public var size = ViTSize.base
  public var explicitWidth: Int?
  public var explicitDepth: Int?
  public var explicitHeads: Int?
  /// Elements of a token.
  public var width: Int { explicitWidth ?? size.width }
  /// Number of blocks.
  public var depth: Int { explicitDepth ?? size.depth }
  /// Attention heads a block.
  public var heads: Int { explicitHeads ?? size.heads }
  /// Width of the MLP's hidden layer over that of a token.
  public var mlpRatio = 4.0
  /// Side of a patch, in pixels.
  public var patchSize = 16

  /// ViT-B/16.
  public init() {}

  /// Reads the keys, for images of `imageSize` pixels a side.
  public init(_ reader: ConfigurationReader, imageSize: Int, leastWidth: Int = 1) {
    size = reader.value("model.size", .choice(), default: size)
    explicitWidth = reader.optional("model.width", .int(.between(leastWidth, 65536)))
    explicitDepth = reader.optional("model.depth", .int(.between(1, 1000)))
    explicitHeads = reader.optional("model.heads", .int(.between(1, 1024)))
    mlpRatio = reader.value("model.mlp_ratio", .double(.between(0.1, 64)), default: mlpRatio)
    patchSize = reader.value("model.patch_size", .int(.between(1, 256)), default: patchSize)
    reader.require(
      width % heads == 0, explicitHeads == nil ? "model.width" : "model.heads",
      "a width of \(width) cannot be divided among \(heads) heads")
    reader.require(
      imageSize % patchSize == 0, "data.image_size",
      "found \(imageSize), expected a multiple of model.patch_size, which is \(patchSize)")
    Self.requireEffectOfSize(reader)
  }

  /// Demands that a size that is set gives at least one of width, depth and heads.
  public static func requireEffectOfSize(_ reader: ConfigurationReader) {
    reader.requireEffect(
      of: ["model.size"], !["model.width", "model.depth", "model.heads"].allSatisfy { reader.isGiven($0) },
      needed: "one of model.width, depth and heads to be left out")
  }

  /// Demands that a rate of stochastic depth that is set has blocks to go by: the first has none.
  public static func requireEffectOfDropPath(_ reader: ConfigurationReader, depth: Int) {
    reader.requireEffect(of: ["model.drop_path"], depth > 1, needed: "a transformer of two blocks and more")
  }

  /// A transformer of these dimensions for images of `imageSize` pixels a side.
  public func architecture(imageSize: Int) -> VisionTransformerConfiguration {
    var result = VisionTransformerConfiguration(size)
    (result.imageSize, result.patchSize) = (imageSize, patchSize)
    (result.width, result.depth, result.heads) = (width, depth, heads)
    result.mlpRatio = Float(mlpRatio)
    return result
  }
}

/// `model.positions`: how a token of a vision transformer knows where it lies.
public enum PositionKind: String, Codable, Sendable, CaseIterable {
  /// One table of relative position biases for all blocks.
  case sharedRelative = "shared_relative"
  /// A table of relative position biases a block.
  case relative
  /// A learned embedding that is added to the tokens.
  case absolute

  /// The same, as the model has it.
  public var positions: VisionTransformerConfiguration.Positions {
    switch self {
    case .sharedRelative: .sharedRelative
    case .relative: .relative
    case .absolute: .absolute
    }
  }
}

extension SharedConfiguration {
  /// The papers' settings for vision transformers, in pretraining and, where it has none of its own, in fine-tuning.
  public static var transformer: SharedConfiguration {
    var defaults = SharedConfiguration()
    defaults.data.colorJitter = 0.4
    defaults.data.mean = ImageNormalization.imageNet.mean
    defaults.data.standardDeviation = ImageNormalization.imageNet.standardDeviation
    defaults.training.globalBatchSize = 2048
    defaults.optimizer.learningRate = 1.5e-3
    defaults.optimizer.minimumLearningRate = 1e-5
    defaults.optimizer.clipGradientNorm = 3
    return defaults
  }
}

import Models

/// The sizes of vision transformers that have names (Dosovitskiy et al., 2010.11929; tiny and small from DeiT).
public enum ViTSize: String, Sendable, CaseIterable {
  case tiny, small, base, large, huge

  /// Elements of a token.
  public var width: Int {
    switch self {
    case .tiny: 192
    case .small: 384
    case .base: 768
    case .large: 1024
    case .huge: 1280
    }
  }

  /// Number of blocks.
  public var depth: Int {
    switch self {
    case .tiny, .small, .base: 12
    case .large: 24
    case .huge: 32
    }
  }

  /// Attention heads a block.
  public var heads: Int {
    switch self {
    case .tiny: 3
    case .small: 6
    case .base: 12
    case .large, .huge: 16
    }
  }

  /// Attention heads of a published transformer, which do not show in its weights; nil where its width has no name.
  ///
  /// - Parameter prefix: What its weights' names begin with. MoCo v3's published small transformer, and it alone, has
  ///   heads of 32 elements.
  package static func heads(width: Int, prefix: String) -> Int? {
    let isMomentumContrast = ["base_encoder.", "module.base_encoder."].contains(prefix)
    if isMomentumContrast, width == small.width { return 12 }
    return allCases.first { $0.width == width }?.heads
  }
}

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
  }

  /// A transformer of these dimensions for images of `imageSize` pixels a side.
  public func architecture(imageSize: Int) -> VisionTransformerConfiguration {
    var result = VisionTransformerConfiguration()
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

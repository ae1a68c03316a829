import Datasets
import Imaging
import Layers
import Models

/// What a vision transformer is beside its weights: the network, how images are shown to it, and the classes that it
/// tells apart.
///
/// Checkpoints and exported weights carry it as JSON; docs/formats.md has the keys.
public struct ModelCard: Codable, Equatable, Sendable {
  /// The network.
  public var architecture: Architecture
  /// How images are shown to it.
  public var preprocessing: Preprocessing
  /// The names of the classes, in the order of the head's logits; nil where there are none, and where they are not
  /// known.
  public var classes: [String]?
  /// How images were hidden while it learned to tell tokens; nil for other models, and where it is not known.
  public var pretraining: Pretraining?

  public init(
    _ architecture: Architecture, _ preprocessing: Preprocessing = Preprocessing(), classes: [String]? = nil,
    pretraining: Pretraining? = nil
  ) {
    self.architecture = architecture
    self.preprocessing = preprocessing
    self.classes = classes
    self.pretraining = pretraining
  }

  /// How images are shown to the network.
  public struct Preprocessing: Codable, Equatable, Sendable {
    /// What channels are normalized by.
    public var normalization: ImageNormalization
    /// How images are resized.
    public var interpolation: ResampleFilter
    /// Length in pixels that the shorter side is resized to for evaluation, before the middle is cut out; nil for
    /// 256/224 of the image's side.
    public var resize: Int?

    /// What serves where nothing else is known: ImageNet's normalization.
    public init(
      normalization: ImageNormalization = .imageNet, interpolation: ResampleFilter = .bicubic,
      resize: Int? = nil
    ) {
      self.normalization = normalization
      self.interpolation = interpolation
      self.resize = resize
    }

    /// As a run shows them in training.
    public init(_ data: DataConfiguration, resize: Int? = nil) {
      self.init(
        normalization: ImageNormalization(mean: data.mean, standardDeviation: data.standardDeviation),
        interpolation: data.interpolation, resize: resize)
    }

    /// Length that the shorter side of images is resized to before a middle of `imageSize` pixels is cut out.
    package func shortSide(imageSize: Int) -> Int {
      resize ?? Augmentation.evaluationShortSide(size: imageSize)
    }
  }
}

// MARK: - The network

extension ModelCard {
  /// What the network's parameters are, and what it computes of them. How they start, and the rate of stochastic depth,
  /// are a matter of training.
  public struct Architecture: Codable, Equatable, Sendable {
    /// What comes after the last norm.
    public struct Head: Codable, Equatable, Sendable {
      /// What it tells.
      public var kind: TransformerHead
      /// How many numbers it gives.
      public var outputs: Int

      public init(_ kind: TransformerHead, outputs: Int) { (self.kind, self.outputs) = (kind, outputs) }
    }

    /// Of the images, in pixels.
    public var imageHeight: Int
    public var imageWidth: Int
    /// Side of the square patches, in pixels.
    public var patchSize: Int
    /// Elements of a token.
    public var width: Int
    /// Number of blocks.
    public var depth: Int
    /// Attention heads of each block.
    public var heads: Int
    /// Width of the MLP's hidden layer over that of a token.
    public var mlpRatio: Double
    /// The tables of positions among the parameters.
    public var positions: [PositionKind]
    /// Which of queries, keys and values have a bias.
    public var qkvBias: Attention.Bias
    /// Whether residual branches are scaled by channel.
    public var hasLayerScale: Bool
    /// Added to the variance by layer normalization.
    public var normEpsilon: Double
    /// The last norm, which tells what a class is read from; nil where the weights have none.
    public var norm: VisionTransformer.FinalNorm?
    /// Whether patches can be masked.
    public var hasMaskToken: Bool
    /// Nil for a transformer that gives features.
    public var head: Head?

    private enum CodingKeys: String, CodingKey {
      case imageHeight = "image_height"
      case imageWidth = "image_width"
      case patchSize = "patch_size"
      case width, depth, heads
      case mlpRatio = "mlp_ratio"
      case positions
      case qkvBias = "qkv_bias"
      case hasLayerScale = "layer_scale"
      case normEpsilon = "norm_epsilon"
      case norm
      case hasMaskToken = "mask_token"
      case head
    }

    /// The network of a transformer with what is before its blocks and after them.
    public init(
      _ transformer: VisionTransformerConfiguration, norm: VisionTransformer.FinalNorm?,
      hasMaskToken: Bool = false, head: Head? = nil
    ) {
      (imageHeight, imageWidth) = (transformer.imageSize, transformer.imageSize)
      (patchSize, width, depth) = (transformer.patchSize, transformer.width, transformer.depth)
      heads = transformer.heads
      mlpRatio = (Float(transformer.hiddenWidth) / Float(transformer.width)).decimal
      positions = PositionKind.allCases.filter { transformer.positions.contains($0.positions) }
      // Fixed ones lie among the weights as learned ones do.
      if transformer.positions.contains(.sinCos) { positions.append(.absolute) }
      qkvBias = transformer.qkvBias
      hasLayerScale = transformer.layerScale != nil
      normEpsilon = transformer.normEpsilon.decimal
      self.norm = norm
      self.hasMaskToken = hasMaskToken
      self.head = head
    }

    /// The transformer; what a card does not say of it stays as it is by default.
    public var transformer: VisionTransformerConfiguration {
      var result = VisionTransformerConfiguration()
      result.imageSize = imageHeight
      (result.patchSize, result.width, result.depth, result.heads) = (patchSize, width, depth, heads)
      result.mlpRatio = Float(mlpRatio)
      result.positions = positions.reduce(into: []) { $0.formUnion($1.positions) }
      result.qkvBias = qkvBias
      if !hasLayerScale { result.layerScale = nil }
      result.normEpsilon = Float(normEpsilon)
      return result
    }

    /// Number of classes that the head tells apart, if it does.
    public var classes: Int? { outputs(.classes) }
    /// Number of tokens that the head tells apart, if it does.
    public var vocabulary: Int? { outputs(.tokens) }

    private func outputs(_ kind: TransformerHead) -> Int? { head?.kind == kind ? head?.outputs : nil }
  }
}

extension Float {
  /// The number that is written as the float is.
  package var decimal: Double { Double("\(self)") ?? Double(self) }
}

// MARK: - As JSON

extension ModelCard {
  /// One line of JSON, its keys sorted.
  public func json() throws -> String { try Card.transformer(self).json() }

  /// Reads what `json` writes.
  ///
  /// - Throws: `ModelCardError` where it is something else, or of a network that cannot be.
  public init(json: String) throws {
    let card = try Card(json: json)
    guard let transformer = card.transformer else {
      throw ModelCardError("it is that of a \(card.kind.rawValue), a transformer's is needed")
    }
    self = transformer
  }

  func validate() throws {
    guard architecture.imageHeight == architecture.imageWidth else {
      throw ModelCardError(
        "images are \(architecture.imageHeight) pixels high and \(architecture.imageWidth) wide, must be squares"
      )
    }
    do {
      try architecture.transformer.validate()
    } catch {
      throw ModelCardError("\(error)")
    }
    guard architecture.head.map({ $0.outputs > 0 }) ?? true else {
      throw ModelCardError("the head has no outputs")
    }
    guard classes.map({ $0.count == architecture.classes }) ?? true else {
      throw ModelCardError(
        "the head tells \(architecture.classes ?? 0) classes apart, not \(classes?.count ?? 0)")
    }
    let normalization = preprocessing.normalization
    guard normalization.mean.count == 3, normalization.standardDeviation.count == 3,
      normalization.standardDeviation.allSatisfy({ $0 > 0 })
    else {
      throw ModelCardError("mean and std must be three numbers each, those of std above 0")
    }
    guard preprocessing.resize.map({ $0 > 0 }) ?? true else { throw ModelCardError("resize must be above 0") }
  }
}

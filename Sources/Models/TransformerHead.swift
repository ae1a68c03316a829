import Tensors

/// A vision transformer, alone or with what comes after it.
public protocol TransformerModel {
  /// The transformer.
  var backbone: VisionTransformer { get }
}

extension VisionTransformer: TransformerModel {
  public var backbone: VisionTransformer { self }
}
extension MaskedImageModel: TransformerModel {}
extension ClassificationModel: TransformerModel {}

/// A kind of head: what comes after a transformer's last norm. `all` has every kind there is; a new one is entered
/// there, and cards, checkpoints, import and export know it.
public struct TransformerHead: Sendable {
  /// What a head's weights need beside its outputs.
  public struct Body: Sendable {
    public var transformer: VisionTransformerConfiguration
    /// The last norm; nil where there is none.
    public var norm: VisionTransformer.FinalNorm?
    /// Whether patches can be masked.
    public var hasMaskToken: Bool

    public init(
      _ transformer: VisionTransformerConfiguration, norm: VisionTransformer.FinalNorm?,
      hasMaskToken: Bool = false
    ) {
      self.transformer = transformer
      self.norm = norm
      self.hasMaskToken = hasMaskToken
    }

    /// The transformer alone.
    public func makeModel(in scope: ParameterScope) throws -> VisionTransformer {
      try VisionTransformer(transformer, maskToken: hasMaskToken, norm: norm, in: scope)
    }
  }

  /// What cards call it, which is what it tells: `classes`.
  public let name: String
  /// Its layer at the root of the weights; the first axis of its weight is that of its outputs.
  public let layer: String
  /// The norm before it where weights have both.
  public let norm: VisionTransformer.FinalNorm
  /// Makes the model of a body and a number of outputs; nil where a body has nothing to do with such a head.
  private let make: @Sendable (Body, Int, ParameterScope) throws -> (any TransformerModel)?

  init(
    _ name: String, layer: String, norm: VisionTransformer.FinalNorm,
    _ make: @escaping @Sendable (Body, Int, ParameterScope) throws -> (any TransformerModel)?
  ) {
    self.name = name
    self.layer = layer
    self.norm = norm
    self.make = make
  }

  /// The model of a body with such a head, or where the two do not go together, the body alone. Parameters are made in
  /// `scope`.
  public func makeModel(
    _ body: Body, outputs: Int, in scope: ParameterScope
  ) throws -> any TransformerModel {
    try make(body, outputs, scope) ?? body.makeModel(in: scope)
  }
}

extension TransformerHead {
  /// Every kind there is, in the order in which they are looked for among weights.
  public static let all = [classes, tokens, pixels]

  /// Logits of an image's classes.
  public static let classes = TransformerHead("classes", layer: "head", norm: .pooled) {
    guard let norm = $0.norm else { return nil }
    return try ClassificationModel(
      $0.transformer, classes: $1, pooling: norm == .pooled ? .mean : .classToken, in: $2)
  }

  /// Logits of a patch's tokens.
  public static let tokens = TransformerHead("tokens", layer: "lm_head", norm: .tokens) {
    guard $0.hasMaskToken, $0.norm == .tokens else { return nil }
    return try MaskedImageModel($0.transformer, vocabulary: $1, in: $2)
  }

  /// A patch's pixels. Nobody asks a trained model for them: it serves as a transformer.
  public static let pixels = TransformerHead("pixels", layer: "pixel_head", norm: .tokens) { _, _, _ in nil }
}

extension TransformerHead: Equatable {
  public static func == (a: TransformerHead, b: TransformerHead) -> Bool { a.name == b.name }
}

/// By its name.
extension TransformerHead: Codable {
  public init(from decoder: any Decoder) throws {
    let container = try decoder.singleValueContainer()
    let name = try container.decode(String.self)
    guard let head = Self.all.first(where: { $0.name == name }) else {
      throw DecodingError.dataCorruptedError(in: container, debugDescription: "unknown head \(name)")
    }
    self = head
  }

  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(name)
  }
}

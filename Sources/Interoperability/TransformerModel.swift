import Configuration
import Models
import Tensors
import Terminal

/// A vision transformer with the head that its weights have.
public enum TransformerModel {
  case backbone(VisionTransformer)
  case maskedImage(MaskedImageModel)
  case classification(ClassificationModel)

  /// The transformer.
  public var backbone: VisionTransformer {
    switch self {
    case .backbone(let model): model
    case .maskedImage(let model): model.backbone
    case .classification(let model): model.backbone
    }
  }
}

extension ModelCard.Architecture {
  /// The network whose parameters have these shapes by our names; nil where the names are not those of a transformer.
  ///
  /// - Parameters:
  ///   - heads: Attention heads of each block, which do not show in any shape.
  ///   - normEpsilon: Added to the variance by layer normalization.
  package init?(parameterShapes shapes: [String: [Int]], heads: Int, normEpsilon: Float) {
    guard var transformer = VisionTransformerConfiguration(parameterShapes: shapes, heads: heads) else {
      return nil
    }
    transformer.normEpsilon = normEpsilon
    // By a layer's bias where its weight is missing, so that this is found.
    func outputs(of layer: String) -> Int? {
      (shapes["\(layer).weight"] ?? shapes["\(layer).bias"])?.first
    }
    let head =
      outputs(of: "head").map { Head(.classes, outputs: $0) }
      ?? outputs(of: "lm_head").map { Head(.tokens, outputs: $0) }
    // With both norms, the head tells which of them is used.
    let norms = VisionTransformer.FinalNorm.allCases.filter { outputs(of: $0.rawValue) != nil }
    self.init(
      transformer, norm: norms.count > 1 && head?.kind == .classes ? .pooled : norms.first,
      hasMaskToken: shapes["mask_token"] != nil, head: head)
  }

  /// A model with a place for these weights, its parameters made in `scope`.
  ///
  /// - Parameters:
  ///   - path: The file of the weights, for messages.
  ///   - imageSize: Side of the images, where it is to be another than the weights'.
  func makeModel(
    in scope: ParameterScope, of path: String, imageSize: Int? = nil
  ) throws -> TransformerModel {
    guard heads > 0, width % heads == 0 else {
      throw RunError(
        "\(path) holds a transformer \(width) wide, which cannot be divided among \(heads) heads")
    }
    guard let norm else {
      throw RunError("\(path) has neither 'norm.weight' nor 'fc_norm.weight', which a transformer ends with")
    }
    var transformer = transformer
    transformer.imageSize = imageSize ?? transformer.imageSize
    if let classes {
      return .classification(
        try ClassificationModel(
          transformer, classes: classes, pooling: norm == .pooled ? .mean : .classToken, in: scope))
    }
    if let vocabulary, hasMaskToken, norm == .tokens {
      return .maskedImage(try MaskedImageModel(transformer, vocabulary: vocabulary, in: scope))
    }
    return .backbone(try VisionTransformer(transformer, maskToken: hasMaskToken, norm: norm, in: scope))
  }
}

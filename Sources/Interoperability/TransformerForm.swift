import Configuration
import Foundation
import Imaging
import Models
import Tensors
import Terminal

/// A vision transformer as its weights' names and shapes tell it, and the little that they do not.
public struct TransformerForm: Codable, Equatable, Sendable {
  /// Shapes by our names.
  public let shapes: [String: [Int]]
  /// Attention heads of each block.
  public let heads: Int
  /// Added to the variance by layer normalization.
  public let normEpsilon: Float
  /// What images were normalized by in training, where that is known.
  package var normalization: ImageNormalization?
  /// Length that the shorter side of images was resized to for evaluation, where fine-tuning was told one.
  package var resize: Int?
  /// How images were resized in training, where that is known.
  package var interpolation: ResampleFilter?
  /// The names of the classes that `head` tells apart, where the checkpoint has them.
  package var classNames: [String]?

  /// Without anything about images.
  package init(shapes: [String: [Int]], heads: Int, normEpsilon: Float) {
    self.shapes = shapes
    self.heads = heads
    self.normEpsilon = normEpsilon
  }

  /// The transformer; nil where the names are not those of one.
  public var architecture: VisionTransformerConfiguration? {
    guard var result = VisionTransformerConfiguration(parameterShapes: shapes, heads: heads) else {
      return nil
    }
    result.normEpsilon = normEpsilon
    return result
  }

  /// The last norm, if there is one.
  public var norm: VisionTransformer.FinalNorm? {
    // With both, the head tells which of them is used.
    let present = VisionTransformer.FinalNorm.allCases.filter { outputs(of: $0.rawValue) != nil }
    return present.count > 1 && classes != nil ? .pooled : present.first
  }
  /// Tokens that `lm_head` predicts.
  public var vocabulary: Int? { outputs(of: "lm_head") }
  /// Classes that `head` tells apart.
  public var classes: Int? { outputs(of: "head") }

  /// How many numbers a layer gives; nil where it is not there. By its bias where its weight is missing, so that this is
  /// found.
  private func outputs(of layer: String) -> Int? {
    (shapes["\(layer).weight"] ?? shapes["\(layer).bias"])?.first
  }

  /// A model with a place for these weights, its parameters made in `scope`.
  ///
  /// - Parameter imageSize: Side of the images, where it is to be another than the weights'.
  func makeModel(
    in scope: ParameterScope, of path: String, imageSize: Int? = nil
  ) throws -> TransformerModel {
    guard var architecture else {
      throw RunError("\(path) holds no vision transformer: its names are not BEiT's")
    }
    guard architecture.width % max(heads, 1) == 0, heads > 0 else {
      throw RunError(
        "\(path) holds a transformer \(architecture.width) wide, which cannot be divided among \(heads) heads"
      )
    }
    architecture.imageSize = imageSize ?? architecture.imageSize
    guard let norm else {
      throw RunError("\(path) has neither 'norm.weight' nor 'fc_norm.weight', which a transformer ends with")
    }
    if let classes {
      return .classification(
        try ClassificationModel(
          architecture, classes: classes, pooling: norm == .pooled ? .mean : .classToken, in: scope))
    }
    if let vocabulary, shapes["mask_token"] != nil, norm == .tokens {
      return .maskedImage(try MaskedImageModel(architecture, vocabulary: vocabulary, in: scope))
    }
    return .backbone(
      try VisionTransformer(
        architecture, maskToken: shapes["mask_token"] != nil, norm: norm, in: scope))
  }
}

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

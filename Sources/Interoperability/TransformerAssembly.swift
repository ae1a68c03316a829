import Configuration
import Models
import Tensors
import Terminal

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
    let head = TransformerHead.all.lazy.compactMap { kind in
      outputs(of: kind.layer).map { Head(kind, outputs: $0) }
    }.first
    // With both norms, the head tells which of them is used.
    let norms = VisionTransformer.FinalNorm.allCases.filter { outputs(of: $0.rawValue) != nil }
    self.init(
      transformer, norm: norms.count > 1 ? head?.kind.norm ?? norms.first : norms.first,
      hasMaskToken: shapes["mask_token"] != nil, head: head)
  }

  /// A model with a place for these weights, its parameters made in `scope`.
  ///
  /// - Parameters:
  ///   - path: The file of the weights, for messages.
  ///   - imageSize: Side of the images, where it is to be another than the weights'.
  func makeModel(
    in scope: ParameterScope, of path: String, imageSize: Int? = nil
  ) throws -> any TransformerModel {
    guard heads > 0, width % heads == 0 else {
      throw RunError(
        "\(path) holds a transformer \(width) wide, which cannot be divided among \(heads) heads")
    }
    var body = TransformerHead.Body(transformer, norm: norm, hasMaskToken: hasMaskToken)
    body.transformer.imageSize = imageSize ?? body.transformer.imageSize
    guard let head else { return try body.makeModel(in: scope) }
    return try head.kind.makeModel(body, outputs: head.outputs, in: scope)
  }
}

import Layers
import Tensors

/// A vision transformer that predicts the visual words of masked patches: BEiT's and PeCo's pretraining.
///
///     let scope = ParameterScope(seed: 0)
///     let model = try MaskedImageModel(.base, vocabulary: 8192, in: scope)
///     let logits = model(tape.constant(pictures), masked: masked, depth: nil)
///     let (loss, correct) = crossEntropy(logits, words)
public struct MaskedImageModel {
  /// The transformer.
  public let backbone: VisionTransformer
  /// Maps a masked patch's token to logits over the vocabulary (`lm_head`).
  public let head: Linear

  /// Makes the parameters in `scope`.
  ///
  /// - Parameter vocabulary: Number of visual words.
  /// - Throws: `VisionTransformerConfigurationError`.
  public init(
    _ configuration: VisionTransformerConfiguration, vocabulary: Int, in scope: ParameterScope
  ) throws {
    guard vocabulary > 0 else {
      throw VisionTransformerConfigurationError(
        field: "vocabulary", found: "\(vocabulary)", allowed: "a positive number of words")
    }
    backbone = try VisionTransformer(configuration, maskToken: true, in: scope)
    head = Linear(
      configuration.width, vocabulary, in: scope / "lm_head",
      initializer: .truncatedNormal(configuration.initialDeviation))
  }

  /// The logits of the masked patches, [masked.count, vocabulary].
  ///
  /// - Parameters:
  ///   - pictures: [B, imageSize, imageSize, 3]
  ///   - masked: Flat numbers (b · N + p) of the masked patches, ascending.
  ///   - depth: The draws of stochastic depth; nil to use every branch of every sample.
  public func callAsFunction(_ pictures: Tensor, masked: [Int32], depth: StochasticDepth? = nil) -> Tensor {
    let patches = backbone.configuration.patches
    let rows = masked.map { Int($0) / patches * (patches + 1) + 1 + Int($0) % patches }
    return head(backbone.norm(backbone.hiddenStates(pictures, masked: masked, rows: rows, depth: depth)))
  }
}

import Layers
import Tensors

/// A vision transformer that predicts the visual tokens of masked patches, BEiT's and PeCo's pretraining, or their
/// pixels.
///
///     let scope = ParameterScope(seed: 0)
///     let model = try MaskedImageModel(.init(.base), vocabulary: 8192, in: scope)
///     let logits = model(tape.constant(images), masked: masked, depth: nil)
///     let (loss, correct) = crossEntropy(logits, tokens)
public struct MaskedImageModel {
  /// What is predicted of a patch.
  public enum Target: Sendable, Equatable {
    /// Its visual token.
    case tokens(vocabulary: Int)
    /// The values of its pixels, patch² · 3.
    case pixels
  }

  /// The transformer.
  public let backbone: VisionTransformer
  /// Maps a patch's token to logits over the vocabulary (`lm_head`), or to the values of its pixels (`pixel_head`).
  public let head: Linear

  /// Makes the parameters in `scope`.
  ///
  /// - Parameters:
  ///   - configuration: Of the transformer.
  ///   - vocabulary: Number of visual tokens.
  ///   - scope: Where the parameters are made.
  /// - Throws: `VisionTransformerConfigurationError`.
  public init(
    _ configuration: VisionTransformerConfiguration, vocabulary: Int, in scope: ParameterScope
  ) throws {
    try self.init(configuration, predicting: .tokens(vocabulary: vocabulary), in: scope)
  }

  /// Makes the parameters in `scope`.
  ///
  /// - Throws: `VisionTransformerConfigurationError`.
  public init(
    _ configuration: VisionTransformerConfiguration, predicting target: Target, in scope: ParameterScope
  ) throws {
    backbone = try VisionTransformer(configuration, maskToken: true, in: scope)
    let (name, outputs): (String, Int)
    switch target {
    case .tokens(let vocabulary):
      guard vocabulary > 0 else {
        throw VisionTransformerConfigurationError(
          field: "vocabulary", found: "\(vocabulary)", allowed: "a positive number of tokens")
      }
      (name, outputs) = ("lm_head", vocabulary)
    case .pixels:
      (name, outputs) = ("pixel_head", configuration.patchSize * configuration.patchSize * 3)
    }
    head = Linear(
      configuration.width, outputs, in: scope.at(depth: configuration.lastDepth) / name,
      initializer: .truncatedNormal(configuration.initialDeviation))
  }

  /// The logits or pixels of the masked patches, or of those asked for, [patches, vocabulary or patch² · 3].
  ///
  /// - Parameters:
  ///   - images: [B, imageSize, imageSize, 3]
  ///   - masked: Flat numbers (b · N + p) of the masked patches, ascending.
  ///   - predicted: Flat numbers of the patches to predict, ascending; nil for the masked ones.
  ///   - depth: The draws of stochastic depth; nil to use every branch of every sample.
  public func callAsFunction(
    _ images: Tensor, masked: [Int32], predicted: [Int32]? = nil, depth: StochasticDepth? = nil
  ) -> Tensor {
    let patches = backbone.configuration.patches
    let rows = (predicted ?? masked).map { Int($0) / patches * (patches + 1) + 1 + Int($0) % patches }
    return head(backbone.norm(backbone.hiddenStates(images, masked: masked, rows: rows, depth: depth)))
  }
}

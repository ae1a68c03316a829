import Layers
import Operations
import Tensors

/// A vision transformer that tells classes apart: what BEiT and PeCo become by fine-tuning (BEiT, section 2.6).
///
///     let model = try ClassificationModel(.init(.base), classes: 1000, in: scope)
///     let logits = model(tape.constant(images), depth: depth)
public struct ClassificationModel {
  /// What the class is read from.
  public enum Pooling: String, Sendable, CaseIterable {
    /// The mean of the patch tokens, normalized thereafter (`fc_norm`), as BEiT's and PeCo's fine-tuning has it.
    case mean
    /// The class token, normalized with all others (`norm`).
    case classToken = "class_token"

    /// The norm that goes with it.
    public var norm: VisionTransformer.FinalNorm { self == .mean ? .pooled : .tokens }
  }

  /// The transformer.
  public let backbone: VisionTransformer
  /// Maps the pooled token to logits (`head`).
  public let head: Linear
  /// What the class is read from.
  public let pooling: Pooling

  /// Deviation of the head's weights at the start as a multiple of the other weights'; BEiT's `init_scale`.
  private static let headScale: Float = 0.001

  /// Makes the parameters in `scope`.
  ///
  /// - Throws: `VisionTransformerConfigurationError`.
  public init(
    _ configuration: VisionTransformerConfiguration, classes: Int, pooling: Pooling = .mean,
    in scope: ParameterScope
  ) throws {
    guard classes > 0 else {
      throw VisionTransformerConfigurationError(
        field: "classes", found: "\(classes)", allowed: "a positive number of classes")
    }
    self.pooling = pooling
    backbone = try VisionTransformer(configuration, norm: pooling.norm, in: scope)
    head = Linear(
      configuration.width, classes, in: scope.at(depth: configuration.lastDepth) / "head",
      initializer: .truncatedNormal(configuration.initialDeviation * Self.headScale))
  }

  /// The logits of images [B, imageSize, imageSize, 3]: [B, classes].
  ///
  /// - Parameters:
  ///   - images: [B, imageSize, imageSize, 3].
  ///   - depth: The draws of stochastic depth; nil to use every branch of every sample.
  public func callAsFunction(_ images: Tensor, depth: StochasticDepth? = nil) -> Tensor {
    let pooled =
      switch pooling {
      case .mean: meanOfPatches(backbone.hiddenStates(images, depth: depth))
      case .classToken:
        backbone.hiddenStates(
          images, rows: (0..<images.shape[0]).map { $0 * backbone.configuration.tokens }, depth: depth)
      }
    return head(backbone.norm(pooled))
  }
}

import Layers
import Tensors

/// A vision transformer as perceptual network, read after several of its blocks: PeCo's choice is a
/// self-supervised ViT-B after blocks 3, 6, 9 and 12 (Dong et al., 2111.12710, section 3.2).
public struct PerceptualViT: PerceptualNetwork {
  /// The transformer; its scope should be frozen.
  public let transformer: VisionTransformer
  /// After how many blocks the tokens are read.
  public let blocks: [Int]
  private let normalization: ChannelAffine

  /// Reads `transformer` after `blocks`; `normalization` takes images from [−1, 1] to what it was trained on.
  public init(
    _ transformer: VisionTransformer, blocks: [Int] = [3, 6, 9, 12],
    normalization: ChannelAffine = .imageNetNormalization
  ) throws {
    let depth = transformer.configuration.depth
    guard !blocks.isEmpty, blocks.allSatisfy({ $0 > 0 && $0 <= depth }) else {
      throw VisionTransformerConfigurationError(
        field: "choice of blocks", found: "\(blocks)", allowed: "one or more numbers from 1 to \(depth)")
    }
    self.transformer = transformer
    self.blocks = blocks
    self.normalization = normalization
  }

  /// The tokens after each of `blocks`, [batch, tokens, width].
  public func features(_ images: Tensor) -> [Tensor] {
    transformer.features(normalization(images), blocks: blocks)
  }
}

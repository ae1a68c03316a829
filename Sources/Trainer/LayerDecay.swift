import Operations
import Tensors

/// Learning rates that fall from block to block toward the images (BEiT's fine-tuning; Clark et al., 2003.10555).
///
/// What comes after the last block, and a table of relative positions that all blocks share, have the full rate; the
/// last block `decay` of it, each block before it `decay` of the next one's, and the embedding `decay` of the first
/// block's.
public struct LayerDecay: Sendable {
  /// What one block's rate is multiplied by to give that of the block before.
  public let decay: Double
  /// Blocks of the transformer.
  public let depth: Int

  public init(decay: Double, depth: Int) {
    self.decay = decay
    self.depth = depth
  }

  /// What the learning rate of a parameter is multiplied by.
  public func scale(of name: String) -> Double {
    var scale = 1.0
    for _ in layer(of: name)..<depth + 1 { scale *= decay }
    return scale
  }

  /// The layer a parameter belongs to: 0 for the embedding, then the blocks, then everything after them.
  private func layer(of name: String) -> Int {
    let parts = name.split(separator: ".")
    switch parts.first {
    case "cls_token", "mask_token", "pos_embed", "patch_embed": return 0
    case "blocks": return parts.dropFirst().first.flatMap { Int($0) }.map { min($0 + 1, depth) } ?? depth + 1
    default: return depth + 1
    }
  }
}

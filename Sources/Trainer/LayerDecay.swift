import Tensors

/// Learning rates that fall from block to block toward the images (BEiT's fine-tuning; Clark et al., 2003.10555).
///
/// What comes after the last block, a table of relative positions that all blocks share, and what has no depth
/// (`Parameter.depth`) have the full rate; the last block `decay` of it, each block before it `decay` of the next
/// one's, and the embedding `decay` of the first block's.
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
  public func scale(of parameter: Parameter) -> Double {
    var scale = 1.0
    for _ in min(parameter.depth ?? depth + 1, depth + 1)..<depth + 1 { scale *= decay }
    return scale
  }
}

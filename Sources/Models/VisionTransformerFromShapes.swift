import Layers

extension VisionTransformerConfiguration {
  /// The transformer whose parameters have these names and shapes, in BEiT's naming, which is timm's and MoCo v3's
  /// too; nil where there is none.
  ///
  /// What one block has all are taken to have, up to the one of the greatest number: where a file lacks a part of it,
  /// parameters are missing from this transformer, rather than that it is another one.
  ///
  /// What names and shapes do not tell stays as it is by default: the rate of drop path, and the size of images
  /// where no table of positions says it.
  ///
  /// - Parameters:
  ///   - shapes: The parameters' shapes by name.
  ///   - heads: Attention heads of each block, which do not show in any shape.
  public init?(parameterShapes shapes: [String: [Int]], heads: Int) {
    guard let patches = shapes["patch_embed.proj.weight"], patches.count == 4,
      patches.allSatisfy({ $0 > 0 })
    else { return nil }
    let blocks = BlockShapes(shapes)
    guard blocks.depth > 0, let hidden = blocks["mlp.fc1.weight"]?.first else { return nil }
    self.init()
    self.heads = heads
    depth = blocks.depth
    patchSize = patches[2]
    width = patches[0]
    mlpRatio = Float(hidden) / Float(width)
    if blocks["gamma_1"] == nil, blocks["gamma_2"] == nil { layerScale = nil }
    qkvBias =
      blocks["attn.qkv.bias"] != nil
      ? .full : blocks["attn.q_bias"] != nil || blocks["attn.v_bias"] != nil ? .queryValue : .none
    positions = []
    var grid: Int?
    if let table = shapes["pos_embed"], table.count == 3 {
      positions.insert(.absolute)
      grid = Int(Double(max(0, table[1] - 1)).squareRoot())
    }
    let tables: [([Int]?, Positions)] = [
      (shapes["rel_pos_bias.relative_position_bias_table"], .sharedRelative),
      (blocks["attn.relative_position_bias_table"], .relative),
    ]
    for (table, kind) in tables {
      guard let table, table.count == 2 else { continue }
      positions.insert(kind)
      // Distances from −(grid − 1) to grid − 1 both ways, and three for the class token.
      grid = (Int(Double(max(0, table[0] - 3)).squareRoot()) + 1) / 2
    }
    if let grid { imageSize = grid * patchSize }
  }
}

/// What the blocks of a transformer have.
private struct BlockShapes {
  /// Number of blocks.
  let depth: Int
  /// Shapes by what stands behind `blocks.N.`, each of the first block that has it.
  private let shapes: [String: [Int]]

  init(_ all: [String: [Int]]) {
    var numbers: Set<Int> = []
    var found: [String: (block: Int, shape: [Int])] = [:]
    for (name, shape) in all {
      let parts = name.split(separator: ".", maxSplits: 2)
      guard parts.count == 3, parts[0] == "blocks", let number = Int(parts[1]), number >= 0 else { continue }
      numbers.insert(number)
      let rest = String(parts[2])
      if let earlier = found[rest], earlier.block <= number { continue }
      found[rest] = (block: number, shape: shape)
    }
    // One stray number makes no giant of it: whole blocks are missing at most as often as they are there.
    depth = min(numbers.max() ?? -1, 2 * numbers.count - 1) + 1
    shapes = found.mapValues(\.shape)
  }

  /// The shape of a part of the blocks, like `norm1.weight`.
  subscript(part: String) -> [Int]? { shapes[part] }
}

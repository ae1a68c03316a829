extension VisionTransformerConfiguration {
  /// The transformer whose parameters have these names and shapes, in BEiT's naming, which is timm's and MoCo v3's
  /// too; nil where there is none.
  ///
  /// What names and shapes do not tell stays as it is by default: the rate of drop path, and the size of pictures
  /// where no table of positions says it.
  ///
  /// - Parameter heads: Attention heads of each block, which do not show in any shape.
  public init?(parameterShapes shapes: [String: [Int]], heads: Int) {
    guard let patches = shapes["patch_embed.proj.weight"], patches.count == 4 else { return nil }
    let depth = (0...).prefix { shapes["blocks.\($0).norm1.weight"] != nil }.count
    guard depth > 0, let hidden = shapes["blocks.0.mlp.fc1.weight"]?.first, patches[0] > 0 else { return nil }
    self.init()
    self.heads = heads
    self.depth = depth
    patchSize = patches[2]
    width = patches[0]
    mlpRatio = Float(hidden) / Float(width)
    if shapes["blocks.0.gamma_1"] == nil { layerScale = nil }
    qkvBias =
      shapes["blocks.0.attn.qkv.bias"] != nil
      ? .full : shapes["blocks.0.attn.q_bias"] != nil ? .queryValue : .none
    positions = []
    var grid: Int?
    if let table = shapes["pos_embed"], table.count == 3 {
      positions.insert(.absolute)
      grid = Int(Double(max(0, table[1] - 1)).squareRoot())
    }
    let tables: [(String, Positions)] = [
      ("rel_pos_bias.relative_position_bias_table", .sharedRelative),
      ("blocks.0.attn.relative_position_bias_table", .relative),
    ]
    for (name, form) in tables {
      guard let table = shapes[name], table.count == 2 else { continue }
      positions.insert(form)
      // Distances from −(grid − 1) to grid − 1 both ways, and three for the class token.
      grid = (Int(Double(max(0, table[0] - 3)).squareRoot()) + 1) / 2
    }
    if let grid { imageSize = grid * patchSize }
  }
}

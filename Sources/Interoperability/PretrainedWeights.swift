import Models
import Tensors
import Terminal

/// Fills a model with pretrained weights, as BEiT's fine-tuning does.
package enum PretrainedWeights {
  /// Fills `parameters` of the transformer `target` from a file of those of `source`, on the rank that has it.
  ///
  /// Tables of positions are interpolated to the grid, a shared one goes to every block that has its own. The head and
  /// its norm stay as they are where the file has none of their shape. All of the file's body must have a place.
  ///
  /// - Returns: The names of what was not in the file.
  package static func fill(
    _ parameters: [Parameter], from file: WeightFile, of source: VisionTransformerConfiguration,
    target: VisionTransformerConfiguration
  ) throws -> [String] {
    var fresh: [String] = []
    var used: Set<String> = []
    for parameter in parameters {
      let name = stored(parameter.name, in: file.shapes)
      used.insert(name)
      guard let shape = file.shapes[name] else {
        guard isHead(name) else {
          throw RunError("\(file.path) has no \(name), which the transformer needs")
        }
        fresh.append(parameter.name)
        continue
      }
      var values = try file.values(of: name)
      if shape != parameter.shape {
        if isHead(name) {
          fresh.append(parameter.name)
          continue
        }
        let grid = source.grid
        if name == "pos_embed", grid != target.grid, values.count == (1 + grid * grid) * target.width {
          values = PositionInterpolation.absolute(
            values, width: source.width, from: source.grid, to: target.grid)
        } else if name.hasSuffix("relative_position_bias_table"), grid != target.grid,
          values.count == ((2 * grid - 1) * (2 * grid - 1) + 3) * target.heads
        {
          values = PositionInterpolation.relative(
            values, heads: source.heads, from: source.grid, to: target.grid)
        }
      }
      guard values.count == parameter.count else {
        throw RunError("\(name) in \(file.path) is \(shape); the transformer needs \(parameter.shape)")
      }
      parameter.value.copyElements(from: values)
    }
    _ = try file.besideBody(of: "the transformer", known: used, advice: "is it another network's?")
    return fresh
  }

  /// The name under which a parameter's values lie in a file.
  private static func stored(_ name: String, in shapes: [String: [Int]]) -> String {
    let shared = WeightLayout.sharedTable
    return NameRule.block(of: name, in: WeightLayout.table) != nil && shapes[name] == nil
      && shapes[shared] != nil ? shared : name
  }

  private static func isHead(_ name: String) -> Bool {
    name.hasPrefix("head.") || name.hasPrefix("fc_norm.") || name.hasPrefix("norm.")
  }
}

import Layers
import Operations
import Tensors

/// A transformer's positions on a grid that it was not trained on, interpolated from those it has. Gradients go through
/// to these.
struct ResampledPositions {
  private let absolute: GridMap
  /// Of a table of relative positions, and its row for each pair of tokens; nil in a transformer that has none.
  private let relative: (map: GridMap, rows: [Int32])?
  private let tokens: Int

  /// Positions on a grid of `height` × `width` of a transformer of `configuration`; nil where that is its own grid.
  init?(_ configuration: VisionTransformerConfiguration, height: Int, width: Int) {
    let grid = configuration.grid
    guard height != grid || width != grid else { return nil }
    absolute = PositionInterpolation.absoluteMap(from: grid, height: height, width: width)
    let isRelative = !configuration.positions.isDisjoint(with: [.relative, .sharedRelative])
    relative =
      isRelative
      ? (
        PositionInterpolation.relativeMap(from: grid, height: height, width: width),
        relativePositionRows(gridHeight: height, gridWidth: width)
      ) : nil
    tokens = height * width + 1
  }

  /// The sequence [samples, 1 + patches, width] of all patches, [samples · patches, width].
  func sequence(_ patches: Tensor, of assembly: TokenAssembly, samples: Int) -> Tensor {
    let positions = assembly.positions.map {
      resampleGrid(value(of: $0, alongside: patches), absolute, first: 1)
    }
    return tokenSequence(
      value(of: assembly.classToken, alongside: patches), patches, positions: positions, samples: samples)
  }

  /// The bias of every pair of tokens, [heads, tokens, tokens]; nil in a transformer without relative positions.
  ///
  /// - Parameter x: Any tensor of the tape that is to record this.
  func bias(_ trained: RelativePositionBias, alongside x: Tensor) -> Tensor? {
    relative.map { map, rows in
      relativePositionBias(
        resampleGrid(value(of: trained.table, alongside: x), map), rows: rows, tokens: tokens)
    }
  }
}

extension RelativePositionBias {
  /// The bias on the grid of `positions`, or on the trained one.
  func callAsFunction(alongside x: Tensor, on positions: ResampledPositions?) -> Tensor {
    positions?.bias(self, alongside: x) ?? self(alongside: x)
  }
}

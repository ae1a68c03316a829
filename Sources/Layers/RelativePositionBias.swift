import Operations
import Tensors

/// A learned bias of attention for each pair of tokens, depending on where one lies as seen from the other
/// (BEiT; after Swin Transformer).
///
/// The table has a row for each offset of two patches on the grid, and three more with a class token: class to
/// patch, patch to class, class to class.
public struct RelativePositionBias {
  /// [(2 height - 1)(2 width - 1) + 3, heads], without the 3 if there is no class token.
  public let table: Parameter
  /// Row of the table for each pair of tokens, [tokens, tokens].
  public let index: [Int32]
  /// Number of tokens, the class token included.
  public let tokens: Int

  /// Makes `relative_position_bias_table` (zeros) in `scope`.
  public init(
    gridHeight: Int, gridWidth: Int, heads: Int, classToken: Bool = true, in scope: ParameterScope
  ) {
    let first = classToken ? 1 : 0
    let offsets = (2 * gridHeight - 1) * (2 * gridWidth - 1)
    let tokens = gridHeight * gridWidth + first
    var index = [Int32](repeating: 0, count: tokens * tokens)
    for i in first..<tokens {
      let (row, column) = (i - first).quotientAndRemainder(dividingBy: gridWidth)
      for j in first..<tokens {
        let (otherRow, otherColumn) = (j - first).quotientAndRemainder(dividingBy: gridWidth)
        let down = row - otherRow + gridHeight - 1
        let right = column - otherColumn + gridWidth - 1
        index[i * tokens + j] = Int32(down * (2 * gridWidth - 1) + right)
      }
    }
    if classToken {
      for j in 0..<tokens { index[j] = Int32(offsets) }
      for i in 0..<tokens { index[i * tokens] = Int32(offsets + 1) }
      index[0] = Int32(offsets + 2)
    }
    self.index = index
    self.tokens = tokens
    table = scope.parameter(
      "relative_position_bias_table", [offsets + 3 * first, heads], .zeros, role: .relativePositionBias)
  }

  /// The bias of every pair of tokens, [heads, tokens, tokens].
  ///
  /// - Parameter x: Any tensor of the tape that is to record this.
  public func callAsFunction(alongside x: Tensor) -> Tensor {
    relativePositionBias(table, index: index, tokens: tokens, alongside: x)
  }
}

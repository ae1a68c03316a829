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
    index = relativePositionRows(gridHeight: gridHeight, gridWidth: gridWidth, classToken: classToken)
    tokens = gridHeight * gridWidth + (classToken ? 1 : 0)
    let offsets = (2 * gridHeight - 1) * (2 * gridWidth - 1) + (classToken ? 3 : 0)
    table = scope.parameter(
      "relative_position_bias_table", [offsets, heads], .zeros, role: .relativePositionBias)
  }

  /// The bias of every pair of tokens, [heads, tokens, tokens].
  ///
  /// - Parameter x: Any tensor of the tape that is to record this.
  public func callAsFunction(alongside x: Tensor) -> Tensor {
    relativePositionBias(table, rows: index, tokens: tokens, alongside: x)
  }
}

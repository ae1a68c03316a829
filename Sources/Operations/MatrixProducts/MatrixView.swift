/// A row-major matrix inside some buffer: rows × columns with `stride` elements from row to row, read as its
/// transpose if `transposed`.
@_spi(TensorMemory) public struct MatrixView<Scalar> {
  let pointer: UnsafeMutablePointer<Scalar>
  let stride: Int
  let transposed: Bool

  /// A matrix at `pointer` whose stored rows are `stride` elements apart.
  public init(_ pointer: UnsafeMutablePointer<Scalar>, stride: Int, transposed: Bool = false) {
    self.pointer = pointer
    self.stride = stride
    self.transposed = transposed
  }

  /// The part that starts at logical row `row` (of op(matrix)).
  func rows(from row: Int) -> MatrixView {
    MatrixView(pointer + (transposed ? row : row * stride), stride: stride, transposed: transposed)
  }

  /// The part that starts at logical column `column` (of op(matrix)).
  func columns(from column: Int) -> MatrixView {
    MatrixView(pointer + (transposed ? column * stride : column), stride: stride, transposed: transposed)
  }

  /// The transpose.
  var transpose: MatrixView { MatrixView(pointer, stride: stride, transposed: !transposed) }
}

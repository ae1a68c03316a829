import CKernels
import COneDNN
@_spi(TensorMemory) import Tensors

/// Where a product of bfloat16 matrices goes: a row-major matrix in either number format.
@_spi(TensorMemory) public struct ProductTarget {
  let memory: UnsafeMutableRawPointer
  let dtype: DType
  let stride: Int

  init(_ memory: UnsafeMutableRawPointer, _ dtype: DType, stride: Int) {
    (self.memory, self.dtype, self.stride) = (memory, dtype, stride)
  }

  /// The matrix that begins at an element of a tensor, with rows `stride` elements apart.
  public init(_ tensor: Tensor, at offset: Int = 0, stride: Int) {
    self.init(tensor.memory + offset * tensor.dtype.size, tensor.dtype, stride: stride)
  }

  /// The part from a row on.
  func part(row: Int) -> ProductTarget {
    ProductTarget(memory + row * stride * dtype.size, dtype, stride: stride)
  }
}

extension MatrixMultiply {
  /// Whether the processor multiplies bfloat16 by instructions of its own. Where it does not, products go through float32,
  /// which is slower than float32 alone.
  public static let hasNativeBFloat16: Bool = {
    #if arch(x86_64)
      return peco_dnn_has_bfloat16() != 0
    #else
      return false
    #endif
  }()

  /// C = A · B + bias of bfloat16 matrices on all threads of the pool, added up in float32.
  ///
  /// The kernels that read packed matrices want rows without gaps, in A as in C: threads share the rows.
  ///
  /// - Parameters:
  ///   - m: Rows of A and C.
  ///   - a: A.
  ///   - b: B.
  ///   - c: C, which is written over.
  ///   - bias: A row that is added to every row of C; nil for none.
  ///   - isAccumulating: Whether the product is added to what C, in float32, held.
  static func parallel(
    _ m: Int, _ a: UnsafeMutablePointer<UInt16>, _ b: PackedMatrix, into c: ProductTarget,
    bias: UnsafePointer<Float>? = nil, isAccumulating: Bool = false
  ) {
    precondition(c.stride == b.columns, "rows of the result have gaps")
    let tile = 8
    // Below about a megaflop a hand-over to another thread costs more than it saves.
    let grain = max(1, (1 << 18) / max(1, tile * b.rows * b.columns))
    withExtendedLifetime(b) {
      ThreadPool.current.forEachRange(of: (m + tile - 1) / tile, grain: grain) { tiles in
        let first = tiles.lowerBound * tile
        serial(
          min(m, tiles.upperBound * tile) - first, b.columns, b.rows,
          MatrixView(a + first * b.rows, stride: b.rows), b.operand, into: c.part(row: first),
          bias: bias, isAccumulating: isAccumulating)
      }
    }
  }

  /// C = op(A) · op(B) of bfloat16 matrices on the calling thread, added up in float32.
  ///
  /// - Parameters:
  ///   - m: Rows of op(A) and C.
  ///   - n: Columns of op(B) and C.
  ///   - k: Columns of op(A), rows of op(B).
  ///   - a: A.
  ///   - b: B.
  ///   - c: C, which is written over.
  @_spi(TensorMemory) public static func serial(
    _ m: Int, _ n: Int, _ k: Int, _ a: MatrixView<UInt16>, _ b: MatrixView<UInt16>, into c: ProductTarget
  ) {
    serial(m, n, k, a, .plain(b), into: c, bias: nil, isAccumulating: false)
  }

  private static func serial(
    _ m: Int, _ n: Int, _ k: Int, _ a: MatrixView<UInt16>, _ b: BFloat16Operand, into c: ProductTarget,
    bias: UnsafePointer<Float>?, isAccumulating: Bool
  ) {
    precondition(!isAccumulating || c.dtype == .float32, "sums are float32")
    guard m > 0, n > 0 else { return }
    let (matrix, stride, layout): (UnsafePointer<UInt16>, Int, peco_dnn_layout)
    switch b {
    case .plain(let b):
      guard hasNativeBFloat16, k > 0 else {
        return serialThroughFloat32(m, n, k, a, b, into: c, bias: bias, isAccumulating: isAccumulating)
      }
      (matrix, stride) = (UnsafePointer(b.pointer), b.stride)
      layout = b.transposed ? PECO_DNN_TRANSPOSED : PECO_DNN_PLAIN
    case .packed(let b): (matrix, stride, layout) = (b, 0, PECO_DNN_PACKED)
    }
    var shape = peco_dnn_product(
      m: Int32(m), n: Int32(n), k: Int32(k), lda: Int32(a.stride), ldb: Int32(stride), ldc: Int32(c.stride),
      transpose_a: a.transposed ? 1 : 0, layout_b: Int8(layout.rawValue),
      is_narrow: c.dtype == .bfloat16 ? 1 : 0,
      accumulates: isAccumulating ? 1 : 0)
    if peco_dnn_bfloat16_product(&shape, a.pointer, matrix, bias, c.memory) != 0 {
      ExecutionContext.current.fail(ExecutionError(String(cString: peco_dnn_last_error())))
    }
  }

  private static func serialThroughFloat32(
    _ m: Int, _ n: Int, _ k: Int, _ a: MatrixView<UInt16>, _ b: MatrixView<UInt16>, into c: ProductTarget,
    bias: UnsafePointer<Float>?, isAccumulating: Bool
  ) {
    let (wideA, wideB) = (widened(a, m, k), widened(b, k, n))
    let scratch = c.dtype == .float32 ? nil : Tensor(uninitialized: [m, n])
    let target = MatrixView(
      scratch?.pointer ?? c.memory.assumingMemoryBound(to: Float.self), stride: scratch == nil ? c.stride : n)
    serial(m, n, k, wideA.view, wideB.view, into: target, alpha: 1, beta: isAccumulating ? 1 : 0)
    if let bias { peco_add_row(target.pointer, target.stride, bias, m, n) }
    guard let scratch else { return }
    let narrow = c.memory.assumingMemoryBound(to: UInt16.self)
    for row in 0..<m { peco_to_bfloat16(narrow + row * c.stride, scratch.pointer + row * n, n) }
    withExtendedLifetime((wideA.memory, wideB.memory)) {}
  }

  /// op(matrix), of rows × columns, in float32, and the memory it lies in.
  private static func widened(
    _ matrix: MatrixView<UInt16>, _ rows: Int, _ columns: Int
  ) -> (view: MatrixView<Float>, memory: Tensor) {
    let (lines, length) = matrix.transposed ? (columns, rows) : (rows, columns)
    let memory = Tensor(uninitialized: [lines, length])
    for line in 0..<lines {
      peco_from_bfloat16(memory.pointer + line * length, matrix.pointer + line * matrix.stride, length)
    }
    return (MatrixView(memory.pointer, stride: length, transposed: matrix.transposed), memory)
  }
}

import CKernels
@_spi(TensorMemory) import Tensors

/// The right matrix of a product of bfloat16, rounded and laid out as the kernels read it, once for all that share the
/// product. Where no kernel reads it so it lies as it did.
struct PackedMatrix {
  /// Its size.
  let rows: Int
  let columns: Int
  private let memory: Tensor
  /// The matrix in `memory` as it lay; nil where it is packed.
  private let plain: MatrixView<UInt16>?

  private static let panelColumns = Int(PECO_PANEL_COLUMNS)

  /// Rounds and packs op(b), rows × columns.
  init(_ b: MatrixView<Float>, rows: Int, columns: Int) {
    (self.rows, self.columns) = (rows, columns)
    let (lines, length) = b.transposed ? (columns, rows) : (rows, columns)
    guard MatrixMultiply.hasNativeBFloat16, rows > 0 else {
      let copy = Tensor(uninitialized: [lines, length], dtype: .bfloat16)
      ThreadPool.current.forEachRange(of: lines, grain: rowGrain(length)) { range in
        for line in range {
          peco_to_bfloat16(copy.halves + line * length, b.pointer + line * b.stride, length)
        }
      }
      (memory, plain) = (copy, MatrixView(copy.halves, stride: length, transposed: b.transposed))
      return
    }
    (memory, plain) = (Self.panels(rows, columns), nil)
    if b.transposed {
      let (pairs, panel) = (pairs, panelPairs)
      ThreadPool.current.forEach((columns + Self.panelColumns - 1) / Self.panelColumns) { index in
        let first = index * Self.panelColumns
        peco_pack_transposed(
          pairs + index * panel, b.pointer + first * b.stride, b.stride, rows,
          min(Self.panelColumns, columns - first))
      }
    } else {
      packRows { pairs, panel, first, count, padded in
        peco_pack_rows(pairs, panel, b.pointer + first * b.stride, b.stride, count, padded, columns)
      }
    }
  }

  /// Packs b, rows × columns, which is stored as it is.
  ///
  /// - Parameter owner: What holds the memory of b.
  init(_ b: MatrixView<UInt16>, rows: Int, columns: Int, in owner: Tensor) {
    precondition(!b.transposed, "a matrix that is stored as it is")
    (self.rows, self.columns) = (rows, columns)
    guard MatrixMultiply.hasNativeBFloat16, rows > 0 else {
      (memory, plain) = (owner, b)
      return
    }
    (memory, plain) = (Self.panels(rows, columns), nil)
    packRows { pairs, panel, first, count, padded in
      peco_pack_rows_bfloat16(pairs, panel, b.pointer + first * b.stride, b.stride, count, padded, columns)
    }
  }

  private static func panels(_ rows: Int, _ columns: Int) -> Tensor {
    func padded(_ count: Int, to multiple: Int) -> Int { (count + multiple - 1) / multiple * multiple }
    return Tensor(
      uninitialized: [padded(columns, to: panelColumns), padded(rows, to: Int(PECO_PANEL_ROWS))],
      dtype: .bfloat16)
  }

  private var pairs: UnsafeMutablePointer<UInt32> { memory.memory.assumingMemoryBound(to: UInt32.self) }
  private var panelPairs: Int { memory.shape[1] / 2 * Self.panelColumns }

  /// Hands out blocks of rows: where they go, from panel to panel, the first, and how many there are without and with
  /// those that fill up the block.
  private func packRows(_ pack: (UnsafeMutablePointer<UInt32>, Int, _ first: Int, Int, _ padded: Int) -> Void)
  {
    let block = Int(PECO_PANEL_ROWS)
    let (pairs, panel) = (pairs, panelPairs)
    ThreadPool.current.forEachRange(of: memory.shape[1] / block, grain: max(1, rowGrain(columns) / block)) {
      let first = $0.lowerBound * block
      pack(
        pairs + first / 2 * Self.panelColumns, panel, first, min(rows - first, $0.count * block),
        $0.count * block)
    }
  }

  /// What a product on one thread is given; good as long as the matrix is.
  var operand: BFloat16Operand {
    if let plain { return .plain(plain) }
    return .packed(UnsafePointer(memory.halves))
  }
}

/// The right matrix of a product on one thread.
enum BFloat16Operand {
  /// As it is, or its transpose.
  case plain(MatrixView<UInt16>)
  /// In panels (`PackedMatrix`).
  case packed(UnsafePointer<UInt16>)
}

/// The transpose of a matrix of bfloat16, rows × columns: [columns, rows].
func transposed(_ x: Tensor, rows: Int, columns: Int) -> Tensor {
  let y = Tensor(uninitialized: [columns, rows], dtype: .bfloat16)
  let stripe = 32  // columns, a cache line of each row
  ThreadPool.current.forEachRange(
    of: (columns + stripe - 1) / stripe, grain: max(1, rowGrain(rows) / stripe)
  ) { range in
    let first = range.lowerBound * stripe
    peco_transpose_bfloat16(
      y.halves + first * rows, rows, x.halves + first, columns, rows,
      min(columns, range.upperBound * stripe) - first)
  }
  return y
}

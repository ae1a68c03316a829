import CKernels
@_spi(TensorMemory) import Tensors

/// A matrix inside a buffer of longer rows.
struct StridedMatrix {
  let pointer: UnsafeMutablePointer<Float>
  let stride: Int

  func view(transposed: Bool = false) -> MatrixView<Float> {
    MatrixView(pointer, stride: stride, transposed: transposed)
  }

  func rows(from row: Int) -> StridedMatrix { StridedMatrix(pointer: pointer + row * stride, stride: stride) }

  func fillWithZeros(rows: Int, columns: Int) {
    for row in 0..<rows { (pointer + row * stride).update(repeating: 0, count: columns) }
  }
}

/// The product scale · q kᵀ of a head's queries and keys, some rows at a time, so that what follows on a row finds it
/// in the nearest cache.
struct AttentionScores {
  private let q: StridedMatrix
  private let k: StridedMatrix
  private let keys: Int
  private let channels: Int
  private let scale: Float
  /// The keys as the kernel wants them; nil where a general product serves.
  private let turned: Tensor?

  init(
    _ q: StridedMatrix, _ k: StridedMatrix, keys: Int, channels: Int, scale: Float = 1,
    usingKernel: Bool = true
  ) {
    (self.q, self.k, self.keys, self.channels, self.scale) = (q, k, keys, channels, scale)
    let size = usingKernel ? peco_turned_keys_size(keys, channels) : 0
    turned = size > 0 ? Tensor(uninitialized: [size]) : nil
    if let turned { peco_turn_keys(turned.pointer, k.pointer, k.stride, keys, channels) }
  }

  /// Writes [rows, keys] to `s`, and calls `body` with each range of rows when it is there.
  func compute(_ rows: Int, into s: UnsafeMutablePointer<Float>, _ body: (Range<Int>) -> Void) {
    guard let turned else {
      MatrixMultiply.serial(
        rows, keys, channels, q.view(), k.view(transposed: true), into: MatrixView(s, stride: keys),
        alpha: scale)
      return body(0..<rows)
    }
    // The kernel takes eleven rows at a time.
    let strip = 44
    for start in stride(from: 0, to: rows, by: strip) {
      let count = min(strip, rows - start)
      let queries = q.rows(from: start)
      peco_scores(
        s + start * keys, keys, queries.pointer, queries.stride, turned.pointer, scale, count, keys, channels)
      body(start..<start + count)
    }
  }
}

/// Whether this processor has a kernel of its own for the products of queries and keys.
public func hasAttentionScoresKernel(keys: Int, channels: Int) -> Bool {
  peco_turned_keys_size(keys, channels) > 0
}

/// Writes q kᵀ of one head of one image, as attention computes it, on the calling thread. Forward only: for measuring.
///
/// - Parameters:
///   - qkv: [N, 3 D]: queries, keys and values, each of them the heads one after another.
///   - heads: Number of heads, which divides D.
///   - head: Index of the head.
///   - scores: [N, N]
///   - usingKernel: Whether by the kernel for it, where there is one, or by a general product.
public func writeAttentionScores(
  of qkv: Tensor, heads: Int, head: Int, into scores: Tensor, usingKernel: Bool = true
) {
  let (tokens, stride) = (qkv.shape[0], qkv.shape[1])
  let channels = stride / 3 / heads
  precondition(scores.count == tokens * tokens, "scores of \(scores.shape) for \(tokens) tokens")
  let q = StridedMatrix(pointer: qkv.pointer + head * channels, stride: stride)
  let k = StridedMatrix(pointer: qkv.pointer + (heads + head) * channels, stride: stride)
  AttentionScores(q, k, keys: tokens, channels: channels, usingKernel: usingKernel)
    .compute(tokens, into: scores.pointer) { _ in }
}

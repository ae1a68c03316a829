import CKernels
import Tensors

/// Multi-head attention softmax(q kᵀ / √d + bias) v over packed projections (Vaswani et al., 2017).
///
/// - Parameters:
///   - qkv: [B, N, 3 D]: queries, keys and values, each of them the heads one after another.
///   - bias: [heads, N, N], added to the logits of every sample; nil for none.
/// - Returns: [B, N, D]
public func scaledDotProductAttention(_ qkv: Tensor, heads: Int, bias: Tensor? = nil) -> Tensor {
  let (samples, tokens, width) = (qkv.shape[0], qkv.shape[1], qkv.shape[2] / 3)
  let shape = AttentionShape(
    heads: heads, headWidth: width / heads, tokens: tokens,
    queries: (0..<samples).map { $0 * tokens..<($0 + 1) * tokens }, positions: nil,
    queryStride: 3 * width, keyStride: 3 * width)
  shape.check(bias)
  let y = Tensor(uninitialized: [samples, tokens, width])
  let normalizer = Tensor(uninitialized: [heads, samples * tokens])
  func operands(_ base: Tensor) -> AttentionOperands {
    AttentionOperands(query: base.pointer, key: base.pointer + width, value: base.pointer + 2 * width)
  }
  shape.forward(operands(qkv), bias: bias, output: y, normalizer: normalizer)
  return Tape.record(y, from: [qkv] + (bias.map { [$0] } ?? [])) { dy in
    let gradient = Tensor(uninitialized: qkv.shape)
    shape.backward(
      operands(qkv), bias: bias, normalizer: normalizer, outputGradient: dy, into: operands(gradient))
    qkv.addGradient(gradient)
  }
}

/// The same for some of the tokens as queries only.
///
/// - Parameters:
///   - query: [R, D], the queries of tokens `rows`.
///   - rows: Flat token numbers (b · N + n), ascending.
///   - keyValue: [B, N, 2 D], keys and values of all tokens.
/// - Returns: [R, D]
public func scaledDotProductAttention(
  _ query: Tensor, rows: [Int], keyValue: Tensor, heads: Int, bias: Tensor? = nil
) -> Tensor {
  let (samples, tokens, width) = (keyValue.shape[0], keyValue.shape[1], keyValue.shape[2] / 2)
  precondition(query.shape == [rows.count, width], "one query a row")
  var queries: [Range<Int>] = []
  var start = 0
  for sample in 0..<samples {
    var end = start
    while end < rows.count, rows[end] < (sample + 1) * tokens { end += 1 }
    queries.append(start..<end)
    start = end
  }
  precondition(
    start == rows.count && zip(rows, rows.dropFirst()).allSatisfy { $0 < $1 } && (rows.first ?? 0) >= 0,
    "query rows must ascend and lie within the batch")
  let shape = AttentionShape(
    heads: heads, headWidth: width / heads, tokens: tokens, queries: queries,
    positions: rows.map { Int32($0 % tokens) }, queryStride: width, keyStride: 2 * width)
  shape.check(bias)
  let y = Tensor(uninitialized: query.shape)
  let normalizer = Tensor(uninitialized: [heads, rows.count])
  func operands(_ query: Tensor, _ keyValue: Tensor) -> AttentionOperands {
    AttentionOperands(query: query.pointer, key: keyValue.pointer, value: keyValue.pointer + width)
  }
  shape.forward(operands(query, keyValue), bias: bias, output: y, normalizer: normalizer)
  return Tape.record(y, from: [query, keyValue] + (bias.map { [$0] } ?? [])) { dy in
    let dquery = Tensor(uninitialized: query.shape)
    let dkeyValue = Tensor(uninitialized: keyValue.shape)
    shape.backward(
      operands(query, keyValue), bias: bias, normalizer: normalizer, outputGradient: dy,
      into: operands(dquery, dkeyValue))
    query.addGradient(dquery)
    keyValue.addGradient(dkeyValue)
  }
}

/// Where queries, keys and values (or their gradients) of the first head begin.
private struct AttentionOperands {
  let query: UnsafeMutablePointer<Float>
  let key: UnsafeMutablePointer<Float>
  let value: UnsafeMutablePointer<Float>
}

/// How the operands of attention lie in memory, and the two passes over them. A task is a head of one or several
/// samples; its N × N matrix lives as long as the task.
private struct AttentionShape {
  let heads: Int
  let headWidth: Int
  /// Keys of each sample.
  let tokens: Int
  /// Rows of the queries and of the output that belong to each sample.
  let queries: [Range<Int>]
  /// Row of the bias for each query; nil if the queries are all the tokens.
  let positions: [Int32]?
  let queryStride: Int
  let keyStride: Int

  private var scale: Float { 1 / Float(headWidth).squareRoot() }
  private var outputStride: Int { heads * headWidth }
  private var queryCount: Int { queries.last?.upperBound ?? 0 }
  private var mostQueries: Int { queries.map(\.count).max() ?? 0 }

  func check(_ bias: Tensor?) {
    if let bias { precondition(bias.shape == [heads, tokens, tokens], "bias of shape \(bias.shape)") }
  }

  func forward(_ x: AttentionOperands, bias: Tensor?, output: Tensor, normalizer: Tensor) {
    withPositions { positions in
      // Heads outermost: the samples of a head read the same bias.
      ThreadPool.shared.forEach(heads * queries.count) { task in
        let (head, sample) = task.quotientAndRemainder(dividingBy: queries.count)
        let rows = queries[sample]
        if rows.isEmpty { return }
        let weights = Tensor(uninitialized: [rows.count, tokens])
        let q = queryMatrix(x.query, head, rows)
        let (k, v) = (keyMatrix(x.key, head, sample), keyMatrix(x.value, head, sample))
        let place = rows.lowerBound * outputStride + head * headWidth
        attentionScores(q, k, rows.count, tokens, headWidth, into: weights.pointer, scale: scale)
        peco_attention_softmax(
          weights.pointer, normalizer.pointer + head * queryCount + rows.lowerBound, plane(bias, head),
          positions.map { $0 + rows.lowerBound }, rows.count, tokens)
        MatrixMultiply.serial(
          rows.count, headWidth, tokens, MatrixView(weights.pointer, stride: tokens), v.view(),
          into: MatrixView(output.pointer + place, stride: outputStride))
      }
    }
  }

  /// Writes the gradients of the operands, and adds that of the bias to it.
  func backward(
    _ x: AttentionOperands, bias: Tensor?, normalizer: Tensor, outputGradient: Tensor,
    into gradient: AttentionOperands
  ) {
    let pool = ThreadPool.shared
    let samples = queries.count
    // Samples of a head go one after another where they add into the same bias gradient: as few groups as give every
    // thread of a rank some work, whatever the number of threads, so that the sums are the same on any.
    let groups = max(1, min(samples, (48 + heads - 1) / heads))
    let pairs = tokens * tokens
    let biasGradient = bias.flatMap { $0.needsGradient ? Tensor([groups, heads, tokens, tokens]) : nil }
    withPositions { positions in
      pool.forEach(heads * groups) { task in
        let (head, group) = task.quotientAndRemainder(dividingBy: groups)
        let scratch = Tensor(uninitialized: [2, mostQueries, tokens])
        let (p, dp) = (scratch.pointer, scratch.pointer + mostQueries * tokens)
        for sample in samples * group / groups..<samples * (group + 1) / groups {
          let rows = queries[sample]
          let count = rows.count
          let q = queryMatrix(x.query, head, rows)
          let (k, v) = (keyMatrix(x.key, head, sample), keyMatrix(x.value, head, sample))
          let dq = queryMatrix(gradient.query, head, rows)
          let (dk, dv) = (keyMatrix(gradient.key, head, sample), keyMatrix(gradient.value, head, sample))
          if rows.isEmpty {
            dk.fillWithZeros(rows: tokens, columns: headWidth)
            dv.fillWithZeros(rows: tokens, columns: headWidth)
            continue
          }
          let dy = StridedMatrix(
            pointer: outputGradient.pointer + rows.lowerBound * outputStride + head * headWidth,
            stride: outputStride)
          let dpView = MatrixView(dp, stride: tokens)
          let (pTransposed, dpTransposed) = (
            MatrixView(p, stride: tokens, transposed: true),
            MatrixView(dp, stride: tokens, transposed: true)
          )
          let ownPositions = positions.map { $0 + rows.lowerBound }
          attentionScores(q, k, count, tokens, headWidth, into: p, scale: scale)
          peco_attention_weights(
            p, normalizer.pointer + head * queryCount + rows.lowerBound, plane(bias, head), ownPositions,
            count, tokens)
          MatrixMultiply.serial(tokens, headWidth, count, pTransposed, dy.view(), into: dv.view())
          attentionScores(dy, v, count, tokens, headWidth, into: dp)
          peco_attention_softmax_gradient(
            dp, p, biasGradient.map { $0.pointer + (group * heads + head) * pairs }, ownPositions, count,
            tokens)
          MatrixMultiply.serial(count, headWidth, tokens, dpView, k.view(), into: dq.view(), alpha: scale)
          MatrixMultiply.serial(
            tokens, headWidth, count, dpTransposed, q.view(), into: dk.view(), alpha: scale)
        }
      }
    }
    guard let bias, let biasGradient else { return }
    let size = heads * pairs
    pool.forEachRange(of: size, grain: 1 << 14) { range in
      for group in 1..<max(groups, 1) {
        peco_add_in_place(
          biasGradient.pointer + range.lowerBound, biasGradient.pointer + group * size + range.lowerBound,
          range.count)
      }
    }
    bias.addGradient(
      groups == 1 ? biasGradient.reshaped(bias.shape) : biasGradient.view(at: 0, shape: bias.shape))
  }

  private func queryMatrix(
    _ base: UnsafeMutablePointer<Float>, _ head: Int, _ rows: Range<Int>
  ) -> StridedMatrix {
    StridedMatrix(pointer: base + rows.lowerBound * queryStride + head * headWidth, stride: queryStride)
  }

  private func keyMatrix(_ base: UnsafeMutablePointer<Float>, _ head: Int, _ sample: Int) -> StridedMatrix {
    StridedMatrix(pointer: base + sample * tokens * keyStride + head * headWidth, stride: keyStride)
  }

  private func plane(_ bias: Tensor?, _ head: Int) -> UnsafeMutablePointer<Float>? {
    bias.map { $0.pointer + head * tokens * tokens }
  }

  private func withPositions(_ body: (UnsafePointer<Int32>?) -> Void) {
    guard let positions else { return body(nil) }
    positions.withUnsafeBufferPointer { body($0.baseAddress) }
  }
}

/// s = scale · q kᵀ of a head's queries and keys, [rows, keys].
func attentionScores(
  _ q: StridedMatrix, _ k: StridedMatrix, _ rows: Int, _ keys: Int, _ channels: Int,
  into s: UnsafeMutablePointer<Float>, scale: Float = 1
) {
  if peco_scores(s, keys, q.pointer, q.stride, k.pointer, k.stride, scale, rows, keys, channels) != 0 {
    return
  }
  MatrixMultiply.serial(
    rows, keys, channels, q.view(), k.view(transposed: true), into: MatrixView(s, stride: keys), alpha: scale)
}

/// A matrix inside a buffer of longer rows.
struct StridedMatrix {
  let pointer: UnsafeMutablePointer<Float>
  let stride: Int

  func view(transposed: Bool = false) -> MatrixView {
    MatrixView(pointer, stride: stride, transposed: transposed)
  }

  func fillWithZeros(rows: Int, columns: Int) {
    for row in 0..<rows { (pointer + row * stride).update(repeating: 0, count: columns) }
  }
}

import CKernels
@_spi(TensorMemory) import Tensors

/// Multi-head attention softmax(q kᵀ / √d + bias) v over packed projections (Vaswani et al., 2017).
///
/// - Parameters:
///   - qkv: [B, N, 3 D]: queries, keys and values, each of them the heads one after another.
///   - heads: Number of heads, a divisor of D.
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
  let trace = shape.trace(of: [qkv] + (bias.map { [$0] } ?? []))
  func operands(_ base: Tensor) -> AttentionOperands {
    AttentionOperands(query: base.pointer, key: base.pointer + width, value: base.pointer + 2 * width)
  }
  shape.forward(operands(qkv), bias: bias, output: y, trace)
  return Tape.record(y, from: [qkv] + (bias.map { [$0] } ?? [])) { dy in
    let gradient = Tensor(uninitialized: qkv.shape)
    shape.backward(operands(qkv), bias: bias, trace, outputGradient: dy, into: operands(gradient))
    qkv.addGradient(gradient)
  }
}

/// The same for some of the tokens as queries only.
///
/// - Parameters:
///   - query: [R, D], the queries of tokens `rows`.
///   - rows: Flat token numbers (b · N + n), ascending.
///   - keyValue: [B, N, 2 D], keys and values of all tokens.
///   - heads: Number of heads, a divisor of D.
///   - bias: [heads, N, N], added to the logits of every sample; nil for none.
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
  let trace = shape.trace(of: [query, keyValue] + (bias.map { [$0] } ?? []))
  func operands(_ query: Tensor, _ keyValue: Tensor) -> AttentionOperands {
    AttentionOperands(query: query.pointer, key: keyValue.pointer, value: keyValue.pointer + width)
  }
  shape.forward(operands(query, keyValue), bias: bias, output: y, trace)
  return Tape.record(y, from: [query, keyValue] + (bias.map { [$0] } ?? [])) { dy in
    let dquery = Tensor(uninitialized: query.shape)
    let dkeyValue = Tensor(uninitialized: keyValue.shape)
    shape.backward(
      operands(query, keyValue), bias: bias, trace, outputGradient: dy, into: operands(dquery, dkeyValue))
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

/// What forward leaves to backward.
private struct AttentionTrace {
  /// log Σ exp of each query's logits, [heads, queries].
  let normalizer: Tensor
  /// What each query weighs the values by, [heads, queries, N]; nil where backward computes it again.
  let weights: Tensor?
}

/// How the operands of attention lie in memory, and the two passes over them. A task is a head of one or several
/// samples; an N × N matrix that is not kept lives as long as the task.
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

  func check(_ bias: Tensor?) {
    if let bias { precondition(bias.shape == [heads, tokens, tokens], "bias of shape \(bias.shape)") }
  }

  func trace(of inputs: [Tensor]) -> AttentionTrace {
    let isKept = inputs.contains {
      $0.needsGradient && $0.tape?.activationCheckpointing == ActivationCheckpointing.none
    }
    return AttentionTrace(
      normalizer: Tensor(uninitialized: [heads, queryCount]),
      weights: isKept ? Tensor(uninitialized: [heads, queryCount, tokens]) : nil)
  }

  func forward(_ x: AttentionOperands, bias: Tensor?, output: Tensor, _ trace: AttentionTrace) {
    withPositions { positions in
      // Heads outermost: the samples of a head read the same bias.
      ThreadPool.current.forEach(heads * queries.count) { task in
        let (head, sample) = task.quotientAndRemainder(dividingBy: queries.count)
        let rows = queries[sample]
        if rows.isEmpty { return }
        let first = head * queryCount + rows.lowerBound
        let matrix =
          trace.weights?.view(at: first * tokens, shape: [rows.count, tokens])
          ?? Tensor(uninitialized: [rows.count, tokens])
        let weights = matrix.pointer
        let q = queryMatrix(x.query, head, rows)
        let (k, v) = (keyMatrix(x.key, head, sample), keyMatrix(x.value, head, sample))
        let place = rows.lowerBound * outputStride + head * headWidth
        AttentionScores(q, k, keys: tokens, channels: headWidth, scale: scale).compute(
          rows.count, into: weights
        ) { strip in
          let row = strip.lowerBound
          let bias = biasRows(plane(bias, head), positions, of: rows.lowerBound + row, inSample: row)
          peco_attention_softmax(
            weights + row * tokens, trace.normalizer.pointer + first + row, bias.matrix, bias.positions,
            strip.count, tokens)
        }
        MatrixMultiply.serial(
          rows.count, headWidth, tokens, MatrixView(weights, stride: tokens), v.view(),
          into: MatrixView(output.pointer + place, stride: outputStride))
      }
    }
  }

  /// Writes the gradients of the operands, and adds that of the bias to it.
  func backward(
    _ x: AttentionOperands, bias: Tensor?, _ trace: AttentionTrace, outputGradient: Tensor,
    into gradient: AttentionOperands
  ) {
    let pool = ThreadPool.current
    let samples = queries.count
    // Samples of a head go one after another where they add into the same bias gradient: as few groups as give every
    // thread of a rank some work, whatever the number of threads, so that the sums are the same on any.
    let groups = max(1, min(samples, (48 + heads - 1) / heads))
    let pairs = tokens * tokens
    let mostQueries = queries.reduce(0) { max($0, $1.count) }
    let biasGradient = bias.flatMap { $0.needsGradient ? Tensor([groups, heads, tokens, tokens]) : nil }
    withPositions { positions in
      pool.forEach(heads * groups) { task in
        let (head, group) = task.quotientAndRemainder(dividingBy: groups)
        let scratch = Tensor(uninitialized: [trace.weights == nil ? 2 : 1, mostQueries, tokens])
        let dp = scratch.pointer
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
          let first = head * queryCount + rows.lowerBound
          let p = trace.weights.map { $0.pointer + first * tokens } ?? dp + mostQueries * tokens
          let dpView = MatrixView(dp, stride: tokens)
          let (pTransposed, dpTransposed) = (
            MatrixView(p, stride: tokens, transposed: true),
            MatrixView(dp, stride: tokens, transposed: true)
          )
          if trace.weights == nil {
            AttentionScores(q, k, keys: tokens, channels: headWidth, scale: scale).compute(count, into: p) {
              strip in
              let row = strip.lowerBound
              let bias = biasRows(plane(bias, head), positions, of: rows.lowerBound + row, inSample: row)
              peco_attention_weights(
                p + row * tokens, trace.normalizer.pointer + first + row, bias.matrix, bias.positions,
                strip.count, tokens)
            }
          }
          MatrixMultiply.serial(tokens, headWidth, count, pTransposed, dy.view(), into: dv.view())
          let dbias = biasGradient.map { $0.pointer + (group * heads + head) * pairs }
          AttentionScores(dy, v, keys: tokens, channels: headWidth).compute(count, into: dp) { strip in
            let row = strip.lowerBound
            let bias = biasRows(dbias, positions, of: rows.lowerBound + row, inSample: row)
            peco_attention_softmax_gradient(
              dp + row * tokens, p + row * tokens, bias.matrix, bias.positions, strip.count, tokens)
          }
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

  /// Where the rows of a bias, or of its gradient, are for the queries from one on: a kernel counts them from there.
  ///
  /// - Parameters:
  ///   - query: The query's number in the batch.
  ///   - row: Its number in its sample.
  private func biasRows(
    _ plane: UnsafeMutablePointer<Float>?, _ positions: UnsafePointer<Int32>?, of query: Int,
    inSample row: Int
  ) -> (matrix: UnsafeMutablePointer<Float>?, positions: UnsafePointer<Int32>?) {
    if let positions { return (plane, positions + query) }
    return (plane.map { $0 + row * tokens }, nil)
  }

  private func withPositions(_ body: (UnsafePointer<Int32>?) -> Void) {
    guard let positions else { return body(nil) }
    positions.withUnsafeBufferPointer { body($0.baseAddress) }
  }
}

@_spi(TensorMemory) import Tensors

/// Multi-head attention softmax(q kᵀ / √d + bias) v over packed projections (Vaswani et al., 2017). Of bfloat16, products
/// are of it too, and the softmax is computed in float32.
///
/// - Parameters:
///   - qkv: [B, N, 3 D]: queries, keys and values, each of them the heads one after another.
///   - heads: Number of heads, a divisor of D.
///   - bias: [heads, N, N], added to the logits of every sample; nil for none.
/// - Returns: [B, N, D], in the number format of `qkv`.
public func scaledDotProductAttention(_ qkv: Tensor, heads: Int, bias: Tensor? = nil) -> Tensor {
  let (samples, tokens, width) = (qkv.shape[0], qkv.shape[1], qkv.shape[2] / 3)
  let shape = AttentionShape(
    heads: heads, headWidth: width / heads, tokens: tokens,
    queries: (0..<samples).map { $0 * tokens..<($0 + 1) * tokens }, positions: nil,
    queryStride: 3 * width, keyStride: 3 * width)
  shape.check(bias)
  let y = Tensor(uninitialized: [samples, tokens, width], dtype: qkv.dtype)
  let inputs = [qkv] + (bias.map { [$0] } ?? [])
  let trace = shape.trace(of: inputs, dtype: qkv.dtype)
  func operands<Scalar>(_ base: UnsafeMutablePointer<Scalar>) -> AttentionOperands<Scalar> {
    AttentionOperands(query: base, key: base + width, value: base + 2 * width)
  }
  switch qkv.dtype {
  case .float32: shape.forward(operands(qkv.pointer), bias: bias, output: y, trace)
  case .bfloat16: shape.forward(operands(qkv.halves), bias: bias, output: y, trace)
  }
  return Tape.record(y, from: inputs) { dy in
    let gradient = Tensor(uninitialized: qkv.shape, dtype: qkv.dtype)
    switch qkv.dtype {
    case .float32:
      shape.backward(
        operands(qkv.pointer), bias: bias, trace, outputGradient: dy, into: operands(gradient.pointer))
    case .bfloat16:
      shape.backward(
        operands(qkv.halves), bias: bias, trace, outputGradient: dy, into: operands(gradient.halves))
    }
    qkv.addGradient(gradient)
  }
}

/// The same for some of the tokens as queries only.
///
/// - Parameters:
///   - query: [R, D], the queries of tokens `rows`.
///   - rows: Flat token numbers (b · N + n), ascending.
///   - keyValue: [B, N, 2 D], keys and values of all tokens, in the number format of `query`.
///   - heads: Number of heads, a divisor of D.
///   - bias: [heads, N, N], added to the logits of every sample; nil for none.
/// - Returns: [R, D], in the number format of `query`.
public func scaledDotProductAttention(
  _ query: Tensor, rows: [Int], keyValue: Tensor, heads: Int, bias: Tensor? = nil
) -> Tensor {
  let (samples, tokens, width) = (keyValue.shape[0], keyValue.shape[1], keyValue.shape[2] / 2)
  precondition(query.shape == [rows.count, width], "one query a row")
  precondition(query.dtype == keyValue.dtype, "queries of \(query.dtype), keys of \(keyValue.dtype)")
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
  let y = Tensor(uninitialized: query.shape, dtype: query.dtype)
  let inputs = [query, keyValue] + (bias.map { [$0] } ?? [])
  let trace = shape.trace(of: inputs, dtype: query.dtype)
  func operands<Scalar>(
    _ query: UnsafeMutablePointer<Scalar>, _ keyValue: UnsafeMutablePointer<Scalar>
  ) -> AttentionOperands<Scalar> {
    AttentionOperands(query: query, key: keyValue, value: keyValue + width)
  }
  switch query.dtype {
  case .float32:
    shape.forward(operands(query.pointer, keyValue.pointer), bias: bias, output: y, trace)
  case .bfloat16: shape.forward(operands(query.halves, keyValue.halves), bias: bias, output: y, trace)
  }
  return Tape.record(y, from: inputs) { dy in
    let dquery = Tensor(uninitialized: query.shape, dtype: query.dtype)
    let dkeyValue = Tensor(uninitialized: keyValue.shape, dtype: query.dtype)
    switch query.dtype {
    case .float32:
      shape.backward(
        operands(query.pointer, keyValue.pointer), bias: bias, trace, outputGradient: dy,
        into: operands(dquery.pointer, dkeyValue.pointer))
    case .bfloat16:
      shape.backward(
        operands(query.halves, keyValue.halves), bias: bias, trace, outputGradient: dy,
        into: operands(dquery.halves, dkeyValue.halves))
    }
    query.addGradient(dquery)
    keyValue.addGradient(dkeyValue)
  }
}

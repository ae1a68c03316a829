import CKernels
@_spi(TensorMemory) import Tensors

/// The probabilities of multi-head attention, softmax(q kᵀ / √d + bias), of some of the tokens: what
/// `scaledDotProductAttention` weighs values by and never writes out. Forward only, for people to look at.
///
/// - Parameters:
///   - query: [R, D], the queries of tokens `rows`, the heads one after another.
///   - rows: Flat token numbers (b · N + n).
///   - key: [B, N, D], the keys of all tokens.
///   - heads: Number of heads, a divisor of D.
///   - bias: [heads, N, N], added to the logits of every sample; nil for none.
/// - Returns: [R, heads, N]; over the last axis they sum to 1.
public func attentionProbabilities(
  _ query: Tensor, rows: [Int], key: Tensor, heads: Int, bias: Tensor? = nil
) -> Tensor {
  let (tokens, width) = (key.shape[1], key.shape[2])
  let headWidth = width / heads
  precondition(query.shape == [rows.count, width], "one query a row")
  precondition(rows.allSatisfy { $0 >= 0 && $0 < key.shape[0] * tokens }, "rows outside of the batch")
  precondition(bias.map { $0.shape == [heads, tokens, tokens] } ?? true, "bias of another shape")
  let result = Tensor(uninitialized: [rows.count, heads, tokens])
  let scale = 1 / Float(headWidth).squareRoot()
  ThreadPool.current.forEach(rows.count * heads) { task in
    let (place, head) = task.quotientAndRemainder(dividingBy: heads)
    let (sample, token) = rows[place].quotientAndRemainder(dividingBy: tokens)
    let weights = result.pointer + task * tokens
    MatrixMultiply.serial(
      1, tokens, headWidth, MatrixView(query.pointer + place * width + head * headWidth, stride: width),
      MatrixView(key.pointer + sample * tokens * width + head * headWidth, stride: width, transposed: true),
      into: MatrixView(weights, stride: tokens), alpha: scale)
    var normalizer: Float = 0
    peco_attention_softmax(
      weights, &normalizer, bias.map { $0.pointer + (head * tokens + token) * tokens }, nil, 1, tokens)
  }
  return result
}

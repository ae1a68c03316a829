@_spi(TensorMemory) import Tensors

/// MoCo v3's contrastive loss of one direction (Chen et al., 2104.02057, algorithm 1): each query is to be told apart,
/// by cosine similarity, as belonging to the key of the same sample among the keys of all samples of the batch.
/// 2τ times the mean cross-entropy, so that its gradient's size does not depend on τ.
///
/// - Parameters:
///   - queries: [n, width]
///   - keys: [samples of the batch, width]; no gradient goes to them.
///   - first: The key of the first query; the others follow in order.
///   - temperature: τ
/// - Returns: The loss, and how many queries are most similar to their own key.
public func infoNCE(
  _ queries: Tensor, keys: Tensor, first: Int, temperature: Float
) -> (loss: Tensor, correct: Int) {
  let logits = similarities(unitChannels(queries), unitChannels(keys.detached), scale: 1 / temperature)
  let targets = (0..<queries.shape[0]).map { Int32(first + $0) }
  let (loss, correct) = crossEntropy(logits, targets)
  return (scale(loss, 2 * temperature), correct)
}

/// scale · x yᵀ: [n, width] and [m, width] → [n, m]. `y` gets no gradient.
func similarities(_ x: Tensor, _ y: Tensor, scale: Float) -> Tensor {
  let (n, m, width) = (x.shape[0], y.shape[0], x.shape[1])
  precondition(y.shape[1] == width, "vectors of \(width) and of \(y.shape[1]) elements are not comparable")
  let product = Tensor(uninitialized: [n, m])
  MatrixMultiply.parallel(
    n, m, width, MatrixView(x.pointer, stride: width),
    MatrixView(y.pointer, stride: width, transposed: true), into: MatrixView(product.pointer, stride: m),
    alpha: scale)
  return Tape.record(product, from: [x]) { dy in
    let dx = Tensor(uninitialized: x.shape)
    MatrixMultiply.parallel(
      n, width, m, MatrixView(dy.pointer, stride: m), MatrixView(y.pointer, stride: width),
      into: MatrixView(dx.pointer, stride: width), alpha: scale)
    x.addGradient(dx)
  }
}

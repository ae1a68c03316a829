import CKernels
@_spi(TensorMemory) import Operations
@_spi(TensorMemory) import Tensors

/// softmax(q·kᵀ/√channels)·v within each image, pixels as tokens: [batch, height, width, channels], of the same
/// shape.
public func singleHeadAttention(query q: Tensor, key k: Tensor, value v: Tensor) -> Tensor {
  precondition(q.shape == k.shape && q.shape == v.shape, "query, key and value are of one shape")
  let (images, tokens, channels) = (q.shape[0], q.shape[1] * q.shape[2], q.shape[3])
  let scale = 1 / Float(channels).squareRoot()
  let probabilities = Tensor(uninitialized: [images, tokens, tokens])
  let y = Tensor(uninitialized: q.shape)

  func matrix(_ tensor: Tensor, _ image: Int, transposed: Bool = false) -> MatrixView<Float> {
    let width = tensor.count / (images * tokens)
    return MatrixView(tensor.pointer + image * tokens * width, stride: width, transposed: transposed)
  }
  // One image a task; a single image is spread over all threads inside the products.
  ThreadPool.current.forEach(images) { image in
    let p = probabilities.pointer + image * tokens * tokens
    let normalizer = Tensor(uninitialized: [tokens])
    MatrixMultiply.parallel(
      tokens, tokens, channels, matrix(q, image), matrix(k, image, transposed: true),
      into: matrix(probabilities, image), alpha: scale)
    peco_attention_softmax(p, normalizer.pointer, nil, nil, tokens, tokens)
    MatrixMultiply.parallel(
      tokens, channels, tokens, matrix(probabilities, image), matrix(v, image), into: matrix(y, image))
  }

  return Tape.record(y, from: [q, k, v]) { dy in
    let (dq, dk) = (Tensor(uninitialized: q.shape), Tensor(uninitialized: q.shape))
    let (dv, dp) = (Tensor(uninitialized: q.shape), Tensor(uninitialized: probabilities.shape))
    ThreadPool.current.forEach(images) { image in
      MatrixMultiply.parallel(
        tokens, channels, tokens, matrix(probabilities, image, transposed: true), matrix(dy, image),
        into: matrix(dv, image))
      MatrixMultiply.parallel(
        tokens, tokens, channels, matrix(dy, image), matrix(v, image, transposed: true),
        into: matrix(dp, image))
      let start = image * tokens * tokens
      peco_attention_softmax_gradient(
        dp.pointer + start, probabilities.pointer + start, nil, nil, tokens, tokens)
      MatrixMultiply.parallel(
        tokens, channels, tokens, matrix(dp, image), matrix(k, image), into: matrix(dq, image),
        alpha: scale)
      MatrixMultiply.parallel(
        tokens, channels, tokens, matrix(dp, image, transposed: true), matrix(q, image),
        into: matrix(dk, image), alpha: scale)
    }
    q.addGradient(dq)
    k.addGradient(dk)
    v.addGradient(dv)
  }
}

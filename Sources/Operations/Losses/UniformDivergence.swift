import CKernels
@_spi(TensorMemory) import Tensors

/// The mean over rows of KL(softmax(logits) ‖ uniform), in nats, a scalar; 0 where all classes are alike, log of their
/// number where one has it all.
public func uniformDivergence(_ logits: Tensor) -> Tensor {
  let width = logits.shape.last ?? 1
  let rows = logits.count / max(width, 1)
  let (normalizer, negentropy) = (Tensor(uninitialized: [rows]), Tensor(uninitialized: [rows]))
  // Blocks of rows that do not depend on the number of threads.
  let block = rowGrain(width)
  let partial = DoubleSum(count: (rows + block - 1) / block)
  ThreadPool.current.forEach(partial.count) { index in
    let first = index * block
    partial.pointer[index] = peco_uniform_divergence(
      normalizer.pointer + first, negentropy.pointer + first, logits.pointer + first * width,
      min(block, rows - first), width)
  }
  let total = (0..<partial.count).reduce(0) { $0 + partial.pointer[$1] }
  return Tape.record(Tensor(Float(total / Double(max(rows, 1)))), from: [logits]) { dloss in
    let scale = dloss.item / Float(max(rows, 1))
    let gradient = Tensor(uninitialized: logits.shape)
    ThreadPool.current.forEachRange(of: rows, grain: block) { range in
      let first = range.lowerBound
      peco_uniform_divergence_gradient(
        gradient.pointer + first * width, logits.pointer + first * width, normalizer.pointer + first,
        negentropy.pointer + first, scale, range.count, width)
    }
    logits.addGradient(gradient)
  }
}

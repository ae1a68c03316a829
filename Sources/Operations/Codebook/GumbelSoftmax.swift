import CKernels
@_spi(TensorMemory) import Tensors

/// softmax((logits + noise) / temperature) over the last axis: a sample of the relaxed categorical distribution of
/// `logits`, differentiable in them (Jang et al., 1611.01144; Maddison et al., 1611.00712).
public func gumbelSoftmax(_ logits: Tensor, noise: Tensor, temperature: Float) -> Tensor {
  precondition(logits.shape == noise.shape, "noise of \(noise.shape) for logits of \(logits.shape)")
  let width = logits.shape.last ?? 1
  let rows = logits.count / max(width, 1)
  let y = Tensor(uninitialized: logits.shape)
  ThreadPool.current.forEachRange(of: rows, grain: rowGrain(width)) { range in
    let row = Tensor(uninitialized: [width])
    for r in range {
      let i = r * width
      peco_add_then_scale(row.pointer, logits.pointer + i, noise.pointer + i, 1 / temperature, width)
      peco_softmax(y.pointer + i, row.pointer, 1, width)
    }
  }
  let value = y.detached
  return Tape.record(y, from: [logits]) { dy in
    let gradient = Tensor(uninitialized: value.shape)
    ThreadPool.current.forEachRange(of: rows, grain: rowGrain(width)) { range in
      let (i, count) = (range.lowerBound * width, range.count * width)
      peco_softmax_gradient(gradient.pointer + i, value.pointer + i, dy.pointer + i, range.count, width)
      peco_scale(gradient.pointer + i, gradient.pointer + i, 1 / temperature, count)
    }
    logits.addGradient(gradient)
  }
}

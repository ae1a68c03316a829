import CKernels
@_spi(TensorMemory) import Tensors

/// exp(x) / Σ exp(x) over the last axis.
public func softmax(_ x: Tensor) -> Tensor {
  let width = x.shape.last ?? 1
  let rows = x.count / max(width, 1)
  let y = Tensor(uninitialized: x.shape)
  ThreadPool.current.forEachRange(of: rows, grain: rowGrain(width)) { range in
    let i = range.lowerBound * width
    peco_softmax(y.pointer + i, x.pointer + i, range.count, width)
  }
  // Backward reads the result, not what it came from; a plain copy of the handle keeps the tape out of it.
  let value = y.detached
  return Tape.record(y, from: [x]) { dy in
    let dx = Tensor(uninitialized: value.shape)
    ThreadPool.current.forEachRange(of: rows, grain: rowGrain(width)) { range in
      let i = range.lowerBound * width
      peco_softmax_gradient(dx.pointer + i, value.pointer + i, dy.pointer + i, range.count, width)
    }
    x.addGradient(dx)
  }
}

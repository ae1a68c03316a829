import CKernels
@_spi(TensorMemory) import Tensors

/// x · sigmoid(x), element by element; also called swish.
public func silu(_ x: Tensor) -> Tensor {
  let y = Tensor(uninitialized: x.shape)
  ThreadPool.current.forEachRange(of: x.count, grain: 1 << 14) { range in
    peco_silu(y.pointer + range.lowerBound, x.pointer + range.lowerBound, range.count)
  }
  return Tape.record(y, from: [x]) { dy in
    let dx = Tensor(uninitialized: x.shape)
    ThreadPool.current.forEachRange(of: x.count, grain: 1 << 14) { range in
      let i = range.lowerBound
      peco_silu_backward(dx.pointer + i, x.pointer + i, dy.pointer + i, range.count)
    }
    x.addGradient(dx)
  }
}

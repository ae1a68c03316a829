import CKernels
@_spi(TensorMemory) import Tensors

/// The logistic function 1 / (1 + exp(−x)), element by element.
public func sigmoid(_ x: Tensor) -> Tensor {
  let y = Tensor(uninitialized: x.shape)
  ThreadPool.current.forEachRange(of: x.count, grain: 1 << 14) { range in
    peco_sigmoid_forward(y.pointer + range.lowerBound, x.pointer + range.lowerBound, range.count)
  }
  let output = y.detached
  return Tape.record(y, from: [x]) { dy in
    let dx = Tensor(uninitialized: output.shape)
    ThreadPool.current.forEachRange(of: dx.count, grain: 1 << 14) { range in
      let i = range.lowerBound
      peco_sigmoid_backward(dx.pointer + i, output.pointer + i, dy.pointer + i, range.count)
    }
    x.addGradient(dx)
  }
}

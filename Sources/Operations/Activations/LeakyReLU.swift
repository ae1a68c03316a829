import CKernels
@_spi(TensorMemory) import Tensors

/// x where it is positive, slope · x elsewhere, element by element.
public func leakyReLU(_ x: Tensor, slope: Float = 0.2) -> Tensor {
  precondition(slope > 0, "a slope of \(slope) would lose the sign that backward reads")
  let y = Tensor(uninitialized: x.shape)
  ThreadPool.current.forEachRange(of: x.count, grain: 1 << 15) { range in
    peco_leaky_relu(y.pointer + range.lowerBound, x.pointer + range.lowerBound, slope, range.count)
  }
  let output = y.detached
  return Tape.record(y, from: [x]) { dy in
    let dx = Tensor(uninitialized: output.shape)
    ThreadPool.current.forEachRange(of: dx.count, grain: 1 << 15) { range in
      let i = range.lowerBound
      peco_leaky_relu_backward(dx.pointer + i, output.pointer + i, dy.pointer + i, slope, range.count)
    }
    x.addGradient(dx)
  }
}

import CKernels
@_spi(TensorMemory) import Tensors

/// The Gaussian error linear unit x Φ(x), with Φ the normal distribution function (exact, not tanh's
/// approximation).
public func gelu(_ x: Tensor) -> Tensor {
  let y = Tensor(uninitialized: x.shape)
  ThreadPool.current.forEachRange(of: x.count, grain: 1 << 13) { range in
    peco_gelu(y.pointer + range.lowerBound, x.pointer + range.lowerBound, range.count)
  }
  return Tape.record(y, from: [x]) { dy in
    let dx = Tensor(uninitialized: x.shape)
    ThreadPool.current.forEachRange(of: x.count, grain: 1 << 13) { range in
      let i = range.lowerBound
      peco_gelu_gradient(dx.pointer + i, x.pointer + i, dy.pointer + i, range.count)
    }
    x.addGradient(dx)
  }
}

import CKernels
@_spi(TensorMemory) import Tensors

/// x + y, of the same shape: bfloat16 where both are, float32 otherwise.
public func add(_ x: Tensor, _ y: Tensor) -> Tensor {
  precondition(x.shape == y.shape, "shapes \(x.shape) and \(y.shape) do not add")
  let (first, second) = (x.gradientTarget, y.gradientTarget)
  let dtype = x.dtype == y.dtype ? x.dtype : .float32
  let sum = Tensor(uninitialized: x.shape, dtype: dtype)
  let (a, b) = (x.converted(to: dtype), y.converted(to: dtype))
  ThreadPool.current.forEachRange(of: x.count, grain: 1 << 15) { range in
    let i = range.lowerBound
    switch dtype {
    case .float32: peco_add(sum.pointer + i, a.pointer + i, b.pointer + i, range.count)
    case .bfloat16: peco_add_bfloat16(sum.halves + i, a.halves + i, b.halves + i, range.count)
    }
  }
  return Tape.record(sum, from: [x, y]) { gradient in
    first.add(gradient)
    second.add(gradient)
  }
}

/// factor · x.
public func scale(_ x: Tensor, _ factor: Float) -> Tensor {
  func scaled(_ x: Tensor) -> Tensor {
    let y = Tensor(uninitialized: x.shape)
    ThreadPool.current.forEachRange(of: x.count, grain: 1 << 15) { range in
      peco_scale(y.pointer + range.lowerBound, x.pointer + range.lowerBound, factor, range.count)
    }
    return y
  }
  let target = x.gradientTarget
  return Tape.record(scaled(x), from: [x]) { gradient in target.add(scaled(gradient)) }
}

@_spi(TensorMemory) import Tensors

/// The rows of [N, width] divided by their length, which is summed in double precision.
public func unitRows(_ x: Tensor) -> Tensor {
  let width = x.shape[1]
  let result = x.copy()
  ThreadPool.current.forEachRange(of: x.shape[0], grain: max(1, 1 << 15 / max(width, 1))) { range in
    for row in range {
      let x = result.pointer + row * width
      var sum = 0.0
      for i in 0..<width { sum += Double(x[i]) * Double(x[i]) }
      let scale = Float(1 / max(sum.squareRoot(), 1e-12))
      for i in 0..<width { x[i] *= scale }
    }
  }
  return result
}

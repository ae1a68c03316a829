import CKernels
@_spi(TensorMemory) import Tensors

/// The mean of |x − target|, a scalar.
public func l1Loss(_ x: Tensor, _ target: Tensor) -> Tensor {
  compare(x, target, sum: peco_sum_of_absolute_differences, slope: 1, gradient: peco_difference_signs)
}

/// The mean of (x − target)², a scalar.
public func meanSquaredError(_ x: Tensor, _ target: Tensor) -> Tensor {
  compare(x, target, sum: peco_sum_of_squared_differences, slope: 2, gradient: peco_scaled_differences)
}

/// A scalar that is the mean over elements of a function of x − target, with its gradient to both.
private func compare(
  _ x: Tensor, _ target: Tensor,
  sum: (UnsafePointer<Float>?, UnsafePointer<Float>?, Int) -> Double,
  slope: Float,
  gradient:
    @escaping (
      UnsafeMutablePointer<Float>?, UnsafePointer<Float>?, UnsafePointer<Float>?, Float, Int
    ) -> Void
) -> Tensor {
  precondition(x.shape == target.shape, "\(x.shape) cannot be compared with \(target.shape)")
  let total = blockwiseSum(of: x.count) { range in
    sum(x.pointer + range.lowerBound, target.pointer + range.lowerBound, range.count)
  }
  return Tape.record(Tensor(Float(total / Double(x.count))), from: [x, target]) { dy in
    let scale = dy.item * slope / Float(x.count)
    func difference(_ a: Tensor, _ b: Tensor) -> Tensor {
      let d = Tensor(uninitialized: a.shape)
      ThreadPool.current.forEachRange(of: a.count, grain: 1 << 15) { range in
        let i = range.lowerBound
        gradient(d.pointer + i, a.pointer + i, b.pointer + i, scale, range.count)
      }
      return d
    }
    x.addGradient(difference(x, target))
    target.addGradient(difference(target, x))
  }
}

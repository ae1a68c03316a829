import CKernels
@_spi(TensorMemory) import Tensors

/// Moves averages toward values, in place: average · momentum + value · (1 − momentum), computed in double precision.
public func moveAverage(_ average: Tensor, toward value: Tensor, momentum: Double) {
  precondition(average.count == value.count, "\(average.shape) does not follow \(value.shape)")
  ThreadPool.current.forEachRange(of: value.count, grain: 1 << 14) { range in
    let i = range.lowerBound
    peco_moving_average(average.pointer + i, value.pointer + i, momentum, range.count)
  }
}

/// A moving average after one more value: average · momentum + value · (1 − momentum), rounded once.
func movedAverage(_ average: Float, toward value: Double, momentum: Double) -> Float {
  Float(momentum * Double(average) + (1 - momentum) * value)
}

@_spi(TensorMemory) import Tensors

/// Cuts elements off at both ends of a range, in place. Forward only.
public func clamp(_ x: Tensor, to range: ClosedRange<Float>) {
  for i in 0..<x.count { x.pointer[i] = min(max(x.pointer[i], range.lowerBound), range.upperBound) }
}

import Tensors

/// The same numbers in another number format; gradients come back in that of `x`.
public func cast(_ x: Tensor, to dtype: DType) -> Tensor {
  guard x.dtype != dtype else { return x }
  let target = x.gradientTarget
  return Tape.record(x.converted(to: dtype), from: [x]) { dy in target.add(dy) }
}

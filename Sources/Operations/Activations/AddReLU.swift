import CKernels
@_spi(TensorMemory) import Tensors

/// The greater of x + y and 0, element by element, as a residual block of a ResNet ends.
public func addReLU(_ x: Tensor, _ y: Tensor) -> Tensor {
  precondition(x.shape == y.shape, "shapes \(x.shape) and \(y.shape) do not add")
  let z = Tensor(uninitialized: x.shape)
  ThreadPool.current.forEachRange(of: x.count, grain: 1 << 15) { range in
    let i = range.lowerBound
    peco_add_relu(z.pointer + i, x.pointer + i, y.pointer + i, range.count)
  }
  // Backward reads the result alone.
  let output = z.detached
  let (first, second) = (x.gradientTarget, y.gradientTarget)
  return Tape.record(z, from: [x, y]) { dz in
    let gradient = reluBackward(dz, output: output)
    first.add(gradient)
    second.add(gradient)
  }
}

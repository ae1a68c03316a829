import CKernels
@_spi(TensorMemory) import Tensors

/// The greater of x and 0, element by element.
public func relu(_ x: Tensor) -> Tensor {
  let y = Tensor(uninitialized: x.shape)
  ThreadPool.current.forEachRange(of: x.count, grain: 1 << 15) { range in
    peco_relu(y.pointer + range.lowerBound, x.pointer + range.lowerBound, range.count)
  }
  let output = y.detached
  let target = x.gradientTarget
  return Tape.record(y, from: [x]) { dy in target.add(reluBackward(dy, output: output)) }
}

/// The gradient of ReLU's input, where `output` is what ReLU computed.
package func reluBackward(_ dy: Tensor, output: Tensor) -> Tensor {
  let dx = Tensor(uninitialized: output.shape)
  ThreadPool.current.forEachRange(of: dx.count, grain: 1 << 15) { range in
    let i = range.lowerBound
    peco_relu_backward(dx.pointer + i, output.pointer + i, dy.pointer + i, range.count)
  }
  return dx
}

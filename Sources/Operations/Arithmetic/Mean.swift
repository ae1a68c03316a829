@_spi(TensorMemory) import Tensors

/// The mean of all elements, a scalar.
public func mean(_ x: Tensor) -> Tensor { scalarMean(of: x, value: { $0 }, slope: { _ in 1 }) }

/// The mean of a function of each element, whose slope is told. Scores are few: no vector loop is needed.
func scalarMean(of x: Tensor, value: (Float) -> Float, slope: @escaping (Float) -> Float) -> Tensor {
  let values = UnsafeBufferPointer(start: x.pointer, count: x.count)
  let total = values.reduce(0.0) { $0 + Double($1.isNaN ? $1 : value($1)) }
  return Tape.record(Tensor(Float(total / Double(max(x.count, 1)))), from: [x]) { dy in
    let scale = dy.item / Float(max(x.count, 1))
    x.addGradient(Tensor(x.elements.map { scale * slope($0) }, shape: x.shape))
  }
}

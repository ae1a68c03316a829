@_spi(TensorMemory) import Tensors

/// What a discriminator's score should be.
public enum HingeSide: Sendable {
  /// At least 1: the images are real.
  case real
  /// At most −1: they are not.
  case fake
}

/// The mean of max(0, 1 − x) on the real side, or of max(0, 1 + x) on the other (Lim and Ye, 1705.02894), a scalar.
public func hingeLoss(_ x: Tensor, _ side: HingeSide) -> Tensor {
  let sign: Float = side == .real ? 1 : -1
  return scalarMean(
    of: x, value: { max(0, 1 - sign * $0) }, slope: { $0.isNaN ? $0 : 1 - sign * $0 > 0 ? -sign : 0 })
}

/// The mean of all elements, a scalar.
public func mean(_ x: Tensor) -> Tensor { scalarMean(of: x, value: { $0 }, slope: { _ in 1 }) }

/// Scores are few: no vector loop is needed.
private func scalarMean(of x: Tensor, value: (Float) -> Float, slope: @escaping (Float) -> Float) -> Tensor {
  let values = UnsafeBufferPointer(start: x.pointer, count: x.count)
  let total = values.reduce(0.0) { $0 + Double($1.isNaN ? $1 : value($1)) }
  return Tape.record(Tensor(Float(total / Double(max(x.count, 1)))), from: [x]) { dy in
    let scale = dy.item / Float(max(x.count, 1))
    x.addGradient(Tensor(x.elements.map { scale * slope($0) }, shape: x.shape))
  }
}

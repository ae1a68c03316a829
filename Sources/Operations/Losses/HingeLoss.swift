import Tensors

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

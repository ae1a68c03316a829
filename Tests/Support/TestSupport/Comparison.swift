import Tensors

/// max |a − b| / max |b|: the greatest error in proportion to the greatest expected value. Infinite where shapes
/// differ or a value is not finite.
public func relativeError(_ found: Tensor?, _ expected: Tensor) -> Float {
  guard let found, found.shape == expected.shape else { return .infinity }
  return relativeError(found.elements, expected.elements)
}

/// max |a − b| / max |b| over two lists of equal length.
public func relativeError(_ found: [Float], _ expected: [Float]) -> Float {
  guard found.count == expected.count else { return .infinity }
  var (error, greatest) = (Float(0), Float(0))
  for (a, b) in zip(found, expected) {
    guard a.isFinite, b.isFinite else { return .infinity }
    error = max(error, abs(a - b))
    greatest = max(greatest, abs(b))
  }
  return error == 0 ? 0 : error / max(greatest, .leastNormalMagnitude)
}

/// Σ x · weights, a scalar on the tape of `x`: backward from it hands `weights` to `x` as its gradient.
public func innerProduct(_ x: Tensor, _ weights: Tensor) -> Tensor {
  precondition(x.shape == weights.shape, "shapes \(x.shape) and \(weights.shape) do not match")
  let total = zip(x.elements, weights.elements).reduce(0.0) { $0 + Double($1.0) * Double($1.1) }
  return Tape.record(Tensor(Float(total)), from: [x]) { dy in
    x.addGradient(Tensor(weights.elements.map { $0 * dy.item }, shape: x.shape))
  }
}

/// A tensor of standard normal values that depend on `seed` alone.
public func randomTensor(_ shape: [Int], seed: UInt64) -> Tensor {
  useSeveralThreads()
  var stream = RandomStream(seed: seed, purpose: .initialWeight, name: "test")
  return Tensor((0..<shape.reduce(1, *)).map { _ in stream.normal() }, shape: shape)
}

/// How far the gradient of `function` at `x` is from the slope that central differences along a random direction
/// give, in proportion to that slope.
///
/// - Parameter step: Half the distance between the two points; float32 sees about √ε of a smooth function's scale.
public func slopeError(
  of function: (Tensor) -> Tensor, at x: Tensor, step: Float = 1e-2, seed: UInt64 = 1
) -> Float {
  let y = function(x)
  let weights = randomTensor(y.shape, seed: seed + 100)
  let direction = randomTensor(x.shape, seed: seed + 200)
  func value(_ distance: Float) -> Double {
    let moved = zip(x.elements, direction.elements).map { $0 + distance * $1 }
    let y = function(Tensor(moved, shape: x.shape))
    return zip(y.elements, weights.elements).reduce(0.0) { $0 + Double($1.0) * Double($1.1) }
  }
  let expected = (value(step) - value(-step)) / Double(2 * step)
  let tape = Tape()
  let leaf = tape.leaf(x)
  tape.backward(from: innerProduct(function(leaf), weights))
  guard let gradient = leaf.gradient else { return .infinity }
  let found = zip(gradient.elements, direction.elements).reduce(0.0) { $0 + Double($1.0) * Double($1.1) }
  return Float(abs(found - expected) / max(abs(expected), 1e-6))
}

/// The cosine of the angle between two lists of equal length.
public func cosine(_ a: [Float], _ b: [Float]) -> Double {
  var (product, squaresA, squaresB) = (0.0, 0.0, 0.0)
  for (x, y) in zip(a, b) {
    product += Double(x) * Double(y)
    squaresA += Double(x) * Double(x)
    squaresB += Double(y) * Double(y)
  }
  return product / (squaresA * squaresB).squareRoot()
}

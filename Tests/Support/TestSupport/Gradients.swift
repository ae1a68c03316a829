import Tensors

extension Parameter {
  /// Overwrites the value, and asks for a gradient.
  public func set(_ value: Tensor) {
    precondition(value.shape == shape, "\(name) has shape \(shape), not \(value.shape)")
    self.value.copyElements(from: value)
    enableGradient()
  }
}

/// Runs `function` on a tape with a leaf for each input, and backward with the gradient `dy` of its result.
///
/// - Returns: The result off the tape, and the gradient of each input.
public func differentiate(
  _ inputs: [Tensor], dy: Tensor, activationCheckpointing: ActivationCheckpointing = .none,
  _ function: ([Tensor]) throws -> Tensor
) rethrows -> (y: Tensor, gradients: [Tensor?]) {
  let tape = Tape(activationCheckpointing: activationCheckpointing)
  let leaves = inputs.map { tape.leaf($0) }
  let y = try function(leaves)
  tape.backward(from: innerProduct(y, dy))
  return (y.detached, leaves.map(\.gradient))
}

/// The largest error of the gradients of inputs and parameters against central differences, each along a random
/// direction, in proportion to the gradient's length.
///
/// - Parameter step: Length of the step as a fraction of the point's length.
public func gradientError(
  of inputs: [Tensor], parameters: [Parameter] = [], step: Double = 3e-3, _ function: ([Tensor]) -> Tensor
) -> Double {
  let dy = randomTensor(function(inputs).shape, seed: 1000)
  for parameter in parameters { parameter.enableGradient() }
  let gradients = differentiate(inputs, dy: dy, function).gradients + parameters.map(\.gradient)
  var worst = 0.0
  for (index, point) in (inputs + parameters.map(\.value)).enumerated() {
    guard let gradient = gradients[index] else { return .infinity }
    let direction = randomTensor(point.shape, seed: UInt64(2000 + index))
    let original = point.elements
    let h = step * max(length(point), 1) / length(direction)
    func value(at distance: Double) -> Double {
      point.add(direction, times: Float(distance))
      defer { point.copyElements(from: original) }
      return inner(function(inputs), dy)
    }
    let numeric = (value(at: h) - value(at: -h)) / (2 * h)
    // A derivative along a random direction is about as large as the gradient, but may happen to be small.
    let size = max(abs(numeric), length(gradient), .leastNormalMagnitude)
    worst = max(worst, abs(numeric - inner(gradient, direction)) / size)
  }
  return worst
}

private func inner(_ x: Tensor, _ y: Tensor) -> Double {
  zip(x.elements, y.elements).reduce(0) { $0 + Double($1.0) * Double($1.1) }
}

private func length(_ x: Tensor) -> Double { inner(x, x).squareRoot() }

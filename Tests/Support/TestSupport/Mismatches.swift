import Tensors

/// Runs `operation` on the fixture's `x`, sends its `dy` back, and compares with the fixture's `y` and gradients.
///
/// - Parameter parameters: Under their names in the fixture, whose values they take.
/// - Returns: What differs by more than `tolerance`, and by how much: nothing if all is well.
public func mismatches(
  with fixture: FixtureFile, tolerance: Float = 1e-5, parameters: [String: Parameter?] = [:],
  _ operation: (Tensor) -> Tensor
) throws -> [String] {
  let parameters = parameters.compactMapValues { $0 }
  for (name, parameter) in parameters {
    parameter.value.copyElements(from: try fixture.tensor(name))
    parameter.enableGradient()
  }
  let tape = Tape()
  let x = tape.leaf(try fixture.tensor("x"))
  let y = operation(x)
  tape.backward(from: innerProduct(y, try fixture.tensor("dy")))
  var errors = [
    ("output", relativeError(y, try fixture.tensor("y"))),
    ("gradient of the input", relativeError(x.gradient, try fixture.tensor("dx"))),
  ]
  for (name, parameter) in parameters {
    errors.append(
      ("gradient of \(name)", relativeError(parameter.gradient, try fixture.tensor("d" + name))))
  }
  return errors.filter { !($0.1 < tolerance) }.map { "\($0.0): \($0.1)" }
}

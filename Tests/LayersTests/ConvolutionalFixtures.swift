import Layers
import Tensors
import TestSupport
import Testing

/// What PyTorch computed for the convolutional layers.
func convolutionFixtures() throws -> FixtureFile { try FixtureFile("convolution.h5") }

/// Runs `operation` on the fixture's `x`, sends its `dy` back, and expects the fixture's `y` and gradients.
///
/// - Parameter parameters: Under their names in the fixture, whose values they take.
func expectMatch(
  _ fixture: FixtureFile, tolerance: Float = 1e-5, parameters: [String: Parameter?] = [:],
  _ operation: (Tensor) -> Tensor, sourceLocation: SourceLocation = #_sourceLocation
) throws {
  let parameters = parameters.compactMapValues { $0 }
  for (name, parameter) in parameters {
    parameter.value.copyElements(from: try fixture.tensor(name))
    parameter.enableGradient()
  }
  let tape = Tape()
  let x = tape.leaf(try fixture.tensor("x"))
  let y = operation(x)
  #expect(relativeError(y, try fixture.tensor("y")) < tolerance, "output", sourceLocation: sourceLocation)
  tape.backward(from: innerProduct(y, try fixture.tensor("dy")))
  #expect(
    relativeError(x.gradient, try fixture.tensor("dx")) < tolerance, "gradient of the input",
    sourceLocation: sourceLocation)
  for (name, parameter) in parameters {
    let expected = try fixture.tensor("d" + name)
    #expect(
      relativeError(parameter.gradient, expected) < tolerance, "gradient of \(name)",
      sourceLocation: sourceLocation)
  }
}

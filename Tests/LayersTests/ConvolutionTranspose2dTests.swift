import ImageOperations
import Layers
import Tensors
import TestSupport
import Testing

@Suite struct ConvolutionTranspose2dTests {
  init() { useSeveralThreads() }

  @Test(arguments: ["doubling", "plain", "no_bias"])
  func matchesPyTorch(name: String) throws {
    let fixture = try FixtureFile("convolution.h5", of: "OperationsTests")["transposed"][name]
    let shape = try fixture.tensor("weight").shape
    let layer = ConvolutionTranspose2d(
      shape[0], shape[1], kernel: shape[2], stride: try fixture.integers("stride")[0],
      padding: Padding(try fixture.integers("padding")[0]), bias: try fixture.contains("bias"),
      in: ParameterScope(seed: 0))
    #expect(
      try mismatches(with: fixture, parameters: ["weight": layer.weight, "bias": layer.bias]) { layer($0) }
        == [])
  }
}

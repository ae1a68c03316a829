import Layers
import Tensors
import TestSupport
import Testing

@Suite struct LayerNormTests {
  @Test(arguments: ["layer_norm", "layer_norm_samples"])
  func matchesPyTorch(group: String) throws {
    let fixture = try FixtureFile("transformer.h5", of: "OperationsTests")[group]
    let norm = LayerNorm(53, in: ParameterScope(seed: 0))
    norm.weight.set(try fixture.tensor("weight"))
    norm.bias.set(try fixture.tensor("bias"))
    let samples = try fixture.contains("samples") ? try fixture.integers("samples") : nil
    let (y, gradients) = differentiate([try fixture.tensor("x")], dy: try fixture.tensor("dy")) {
      norm($0[0], samples: samples)
    }
    #expect(relativeError(y, try fixture.tensor("y")) <= 1e-5)
    #expect(relativeError(gradients[0], try fixture.tensor("dx")) <= 1e-5)
    #expect(relativeError(norm.weight.gradient, try fixture.tensor("dweight")) <= 1e-5)
    #expect(relativeError(norm.bias.gradient, try fixture.tensor("dbias")) <= 1e-5)
  }

  @Test func rowsOfAMatrixCanBeSelected() {
    let norm = LayerNorm(8, in: ParameterScope(seed: 0))
    let x = randomTensor([5, 8], seed: 1)
    let whole = norm(x)
    let part = norm(x, samples: [1, 4])
    #expect(part.shape == [2, 8])
    #expect(part.elements == Array(whole.elements[8..<16] + whole.elements[32..<40]))
  }

  @Test func manyRowsMatchFiniteDifferences() {
    let norm = LayerNorm(64, in: ParameterScope(seed: 0))
    let x = randomTensor([7, 300, 64], seed: 1)
    #expect(gradientError(of: [x], parameters: norm.parameters) { norm($0[0]) } < 1e-2)
    #expect(gradientError(of: [x], parameters: norm.parameters) { norm($0[0], samples: [0, 5, 6]) } < 1e-2)
  }

  @Test func constantRowsStayFinite() {
    let norm = LayerNorm(16, in: ParameterScope(seed: 0))
    let (y, gradients) = differentiate([Tensor([2, 16], filledWith: 3)], dy: randomTensor([2, 16], seed: 1)) {
      norm($0[0])
    }
    #expect(y.elements.allSatisfy { $0 == 0 })
    #expect(gradients[0]?.elements.allSatisfy(\.isFinite) == true)
  }
}

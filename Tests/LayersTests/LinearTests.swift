import Layers
import Operations
import Tensors
import TestSupport
import Testing

@Suite struct LinearTests {
  private let fixtures: FixtureFile

  init() throws { fixtures = try FixtureFile("transformer.h5", of: "OperationsTests") }

  private func linear(_ fixture: FixtureFile) throws -> Linear {
    let linear = Linear(37, 29, in: ParameterScope(seed: 0))
    linear.weight.set(try fixture.tensor("weight"))
    linear.bias?.set(try fixture.tensor("bias"))
    return linear
  }

  @Test(arguments: ["linear", "linear_gelu"])
  func matchesPyTorch(group: String) throws {
    let fixture = fixtures[group]
    let linear = try linear(fixture)
    let (y, gradients) = differentiate([try fixture.tensor("x")], dy: try fixture.tensor("dy")) {
      group == "linear" ? linear($0[0]) : gelu(linear($0[0]))
    }
    #expect(relativeError(y, try fixture.tensor("y")) <= 1e-5)
    #expect(relativeError(gradients[0], try fixture.tensor("dx")) <= 1e-5)
    #expect(relativeError(linear.weight.gradient, try fixture.tensor("dweight")) <= 1e-5)
    #expect(relativeError(linear.bias?.gradient, try fixture.tensor("dbias")) <= 1e-5)
  }

  @Test func gradientsAddToWhatIsThere() throws {
    let fixture = fixtures["linear"]
    let linear = try linear(fixture)
    let (x, dy) = (try fixture.tensor("x"), try fixture.tensor("dy"))
    for _ in 0..<2 { _ = differentiate([x], dy: dy) { linear($0[0]) } }
    #expect(relativeError(linear.weight.gradient, scale(try fixture.tensor("dweight"), 2)) <= 1e-5)
    #expect(relativeError(linear.bias?.gradient, scale(try fixture.tensor("dbias"), 2)) <= 1e-5)
  }

  @Test func frozenWeightsPassGradientsThrough() {
    let linear = Linear(6, 4, in: ParameterScope(seed: 1, frozen: true))
    let (_, gradients) = differentiate([randomTensor([3, 6], seed: 1)], dy: randomTensor([3, 4], seed: 2)) {
      linear($0[0])
    }
    #expect(linear.weight.gradient == nil)
    #expect(gradients[0] != nil)
  }

  @Test func manyRowsAndThreadsMatchFiniteDifferences() {
    let linear = Linear(48, 160, in: ParameterScope(seed: 2), initializer: .normal(0.2))
    let x = randomTensor([4, 150, 48], seed: 5)
    #expect(gradientError(of: [x], parameters: linear.parameters) { linear($0[0]) } < 1e-2)
  }
}

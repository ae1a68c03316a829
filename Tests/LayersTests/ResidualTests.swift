import Layers
import Operations
import Tensors
import TestSupport
import Testing

@Suite struct ResidualTests {
  @Test func matchesPyTorch() throws {
    let fixture = try FixtureFile("transformer.h5", of: "OperationsTests")["residual"]
    let gamma = ParameterScope(seed: 0).parameter("gamma", [21], .ones, role: .layerScale)
    gamma.set(try fixture.tensor("gamma"))
    let samples = try fixture.integers("samples")
    let inputs = [try fixture.tensor("x"), try fixture.tensor("branch")]
    let (y, gradients) = differentiate(inputs, dy: try fixture.tensor("dy")) {
      residual($0[0], $0[1], gamma: gamma, samples: samples, factor: 1.25)
    }
    #expect(relativeError(y, try fixture.tensor("y")) <= 1e-6)
    #expect(relativeError(gradients[0], try fixture.tensor("dx")) <= 1e-6)
    #expect(relativeError(gradients[1], try fixture.tensor("dbranch")) <= 1e-6)
    #expect(relativeError(gamma.gradient, try fixture.tensor("dgamma")) <= 1e-5)
  }

  @Test func withoutScaleIsASum() {
    let (x, branch) = (randomTensor([2, 4, 5], seed: 1), randomTensor([2, 4, 5], seed: 2))
    #expect(residual(x, branch).elements == add(x, branch).elements)
    #expect(gradientError(of: [x, branch]) { residual($0[0], $0[1], factor: 2) } < 1e-2)
  }

  @Test func aSkippedBranchReportsItsParametersReady() {
    let parameter = ParameterScope(seed: 0).parameter("weight", [3], .ones, role: .weight)
    parameter.enableGradient()
    let tape = Tape()
    let x = tape.leaf(Tensor([2, 3], filledWith: 1))
    let y = residual(x, skipping: [parameter])
    var ready: [String] = []
    tape.backward(from: innerProduct(y, Tensor([2, 3], filledWith: 4))) { ready.append($0.name) }
    #expect(ready == ["weight"])
    #expect(x.gradient?.elements == [4, 4, 4, 4, 4, 4])
    #expect(parameter.gradient?.elements == [0, 0, 0])
  }

  @Test func drawsBelongToSamples() {
    let samples = Array(0..<64)
    func kept(_ samples: [Int], step: Int = 3, layer: Int = 1, branch: Int = 0) -> [Int] {
      let depth = StochasticDepth(seed: 5, step: step, samples: samples)
      return (depth.kept(layer: layer, branch: branch, rate: 0.5) ?? Array(samples.indices)).map {
        samples[$0]
      }
    }
    let all = kept(samples)
    #expect(all.count > 16 && all.count < 48)
    #expect(kept(Array(samples[..<32])) + kept(Array(samples[32...])) == all)
    #expect(kept(samples.reversed()).sorted() == all)
    for other in [kept(samples, step: 4), kept(samples, layer: 2), kept(samples, branch: 1)] {
      #expect(other != all)
    }
  }

  @Test func theRateIsKept() {
    let depth = StochasticDepth(seed: 1, step: 0, samples: Array(0..<10_000))
    #expect(depth.kept(layer: 0, branch: 0, rate: 0) == nil)
    let kept = depth.kept(layer: 3, branch: 1, rate: 0.1)?.count ?? 0
    #expect(abs(kept - 9_000) < 150)
  }
}

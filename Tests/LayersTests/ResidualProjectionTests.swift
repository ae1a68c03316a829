import Layers
import Operations
import Tensors
import TestSupport
import Testing

/// The fused operations of a transformer's block against the plain ones they are made of.
@Suite struct ResidualProjectionTests {
  /// A branch of either kind: LN, product, [GELU,] projection, layer scale.
  private struct Branch {
    let norm: LayerNorm
    let first: Linear
    let second: Linear
    let gamma: Parameter?
    let parameters: [Parameter]

    init(gamma hasGamma: Bool) {
      let scope = ParameterScope(seed: 4)
      norm = LayerNorm(24, in: scope / "norm")
      first = Linear(24, 40, in: scope / "first", initializer: .normal(0.3))
      second = Linear(40, 24, in: scope / "second", initializer: .normal(0.3))
      gamma = hasGamma ? scope.parameter("gamma", [24], .normal(0.5), role: .layerScale) : nil
      parameters = scope.parameters
      for (index, parameter) in parameters.enumerated() where parameter.shape.count == 1 {
        parameter.set(randomTensor(parameter.shape, seed: UInt64(50 + index)))
      }
    }

    /// Both kinds of branch one after the other, fused.
    func fused(_ x: Tensor, samples: [Int]?) -> Tensor {
      let activated = second.residual(
        x, first.product(x, normalizedBy: norm, samples: samples), activation: first.bias, gamma: gamma,
        samples: samples, factor: 1.25)
      return second.residual(
        activated, gatherSamples(first(norm(activated)), samples), gamma: gamma, samples: samples,
        factor: 0.75)
    }

    func composed(_ x: Tensor, samples: [Int]?) -> Tensor {
      let activated = residual(
        x, second(gelu(first(norm(x, samples: samples)))), gamma: gamma, samples: samples, factor: 1.25)
      return residual(
        activated, second(gatherSamples(first(norm(activated)), samples)), gamma: gamma, samples: samples,
        factor: 0.75)
    }

    private func gatherSamples(_ x: Tensor, _ samples: [Int]?) -> Tensor {
      guard let samples else { return x }
      let tokens = x.shape[1]
      return gatherRows(x, samples.flatMap { sample in (0..<tokens).map { sample * tokens + $0 } })
        .reshaped([samples.count, tokens, x.shape[2]])
    }
  }

  @Test(arguments: [nil, [0, 2, 3]], [true, false])
  func theFusedBranchIsTheComposedOne(samples: [Int]?, gamma: Bool) {
    let x = randomTensor([5, 31, 24], seed: 1)
    let dy = randomTensor([5, 31, 24], seed: 2)
    func run(_ body: (Branch) -> (Tensor) -> Tensor) -> [Tensor?] {
      let branch = Branch(gamma: gamma)
      for parameter in branch.parameters { parameter.enableGradient() }
      let (y, gradients) = differentiate([x], dy: dy) { body(branch)($0[0]) }
      return [y] + gradients + branch.parameters.map(\.gradient)
    }
    let fused = run { branch in { branch.fused($0, samples: samples) } }
    let composed = run { branch in { branch.composed($0, samples: samples) } }
    for (index, (found, expected)) in zip(fused, composed).enumerated() {
      guard let expected else {
        Issue.record("no gradient \(index)")
        continue
      }
      #expect(relativeError(found, expected) < 1e-5, "value \(index)")
    }
    // Without a tape nothing is kept, and the result is the same to the bit.
    #expect(Branch(gamma: gamma).fused(x, samples: samples).elements == fused[0]?.elements)
  }

  @Test func gradientsMatchFiniteDifferences() {
    let branch = Branch(gamma: true)
    let x = randomTensor([3, 17, 24], seed: 3)
    #expect(
      gradientError(of: [x], parameters: branch.parameters) { branch.fused($0[0], samples: [0, 2]) } < 1e-2)
  }

  @Test func aFrozenBranchPassesGradientsThrough() throws {
    let scope = ParameterScope(seed: 1, frozen: true)
    let (norm, first) = (LayerNorm(6, in: scope / "norm"), Linear(6, 8, in: scope / "first"))
    let second = Linear(8, 6, in: scope / "second")
    let x = randomTensor([2, 3, 6], seed: 1)
    let dy = randomTensor([2, 3, 6], seed: 2)
    let fused = differentiate([x], dy: dy) {
      second.residual($0[0], first.product($0[0], normalizedBy: norm), activation: first.bias)
    }
    let composed = differentiate([x], dy: dy) { residual($0[0], second(gelu(first(norm($0[0]))))) }
    #expect(scope.parameters.allSatisfy { $0.gradient == nil })
    let expected = try #require(composed.gradients[0])
    #expect(relativeError(fused.gradients[0], expected) < 1e-5)
  }
}

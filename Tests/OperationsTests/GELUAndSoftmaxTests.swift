import Foundation
import Operations
import Tensors
import TestSupport
import Testing

@Suite struct ActivationTests {
  @Test func geluMatchesPyTorch() throws {
    let fixture = try FixtureFile("transformer.h5")["gelu"]
    let (y, gradients) = differentiate([try fixture.tensor("input")], dy: try fixture.tensor("dy")) {
      gelu($0[0])
    }
    #expect(relativeError(y, try fixture.tensor("y")) <= 1e-6)
    #expect(relativeError(gradients[0], try fixture.tensor("dinput")) <= 1e-6)
  }

  /// The distribution function's left tail keeps its digits, where 1 + erf would have lost them.
  @Test func geluIsRelativelyExactInTheTail() {
    let x = stride(from: Float(-5), through: 6, by: 0.001).map { $0 }
    let y = gelu(Tensor(x, shape: [x.count])).elements
    var worst = 0.0
    for (x, y) in zip(x, y) where x != 0 {
      let expected = Double(x) * 0.5 * erfc(-Double(x) / 2.0.squareRoot())
      worst = max(worst, abs(Double(y) / expected - 1))
    }
    #expect(worst < 2e-6)
  }

  @Test func geluOfExtremesHasItsLimits() {
    let y = gelu(Tensor([-.infinity, -1e30, -20, 0, 20, 1e30, .infinity, .nan], shape: [8])).elements
    #expect(y[..<7].elementsEqual([0, 0, 0, 0, 20, 1e30, .infinity]))
    #expect(y[7].isNaN)
  }

  @Test func softmaxMatchesPyTorch() throws {
    let fixture = try FixtureFile("transformer.h5")["softmax"]
    let (y, gradients) = differentiate([try fixture.tensor("x")], dy: try fixture.tensor("dy")) {
      softmax($0[0])
    }
    #expect(relativeError(y, try fixture.tensor("y")) <= 1e-5)
    #expect(relativeError(gradients[0], try fixture.tensor("dx")) <= 1e-5)
  }

  @Test func softmaxOfLargeLogitsIsFinite() {
    let y = softmax(Tensor([1e30, 0, -1e30, 88, 88, -.infinity], shape: [2, 3])).elements
    #expect(y == [1, 0, 0, 0.5, 0.5, 0])
  }

  @Test func arithmeticSendsGradientsToBoth() {
    let (x, y) = (randomTensor([5, 7], seed: 1), randomTensor([5, 7], seed: 2))
    #expect(gradientError(of: [x, y]) { add(scale($0[0], -2.5), $0[1]) } < 1e-2)
    #expect(gradientError(of: [x]) { add($0[0], scale($0[0], 3)) } < 1e-2)
  }
}

import CKernels
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

  /// Of every number of bfloat16 but NaN: the function as exact as rounding, or to 1e-5 in the tails; the slope within what
  /// rounding does to numbers near 1.
  @Test func geluOfBFloat16IsExactForAllNumbers() throws {
    let numbers = (0...UInt16.max).filter { !Float(bitPattern: UInt32($0) << 16).isNaN }
    var x = numbers
    var y = [UInt16](repeating: 0x3F80, count: x.count)  // gradients of 1
    var sum: Float = 0
    let bias: [Float] = [0]
    peco_bias_gelu_gradient_bfloat16(&x, &y, &sum, bias, x.count, 1)
    var forward = [UInt16](repeating: 0, count: x.count)
    peco_bias_gelu_bfloat16(&forward, numbers, bias, x.count, 1)
    #expect(forward == y)
    func value(_ half: UInt16) -> Double { Double(Float(bitPattern: UInt32(half) << 16)) }
    for (place, number) in numbers.enumerated() {
      let v = value(number)
      let cdf = erfc(-v / 2.0.squareRoot()) / 2
      let expected = v < -40 ? 0 : v * cdf
      let slope = abs(v) > 40 ? (v > 0 ? 1 : 0) : cdf + v * exp(-v * v / 2) / (2 * Double.pi).squareRoot()
      let isNear =
        value(y[place]) == expected || abs(value(y[place]) - expected) <= max(abs(expected) / 200, 2e-5)
      try #require(isNear, "gelu(\(v)) is \(expected), not \(value(y[place]))")
      try #require(abs(value(x[place]) - slope) <= 1 / 250, "gelu'(\(v)) is \(slope), not \(value(x[place]))")
    }
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

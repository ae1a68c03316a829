import ImageOperations
import Layers
import Operations
import Tensors
import TestSupport
import Testing

@Suite struct Convolution2dTests {
  init() { useSeveralThreads() }

  @Test(arguments: [
    "odd", "wide", "from_image", "to_image", "downsample", "downsample_odd", "strided", "unpadded",
    "lopsided", "pointwise", "patches", "relu", "no_bias",
  ])
  func matchesPyTorch(name: String) throws {
    let fixture = try FixtureFile("convolution.h5", of: "OperationsTests")["convolution"][name]
    let shape = try fixture.tensor("weight").shape
    let padding = try fixture.integers("padding")
    let convolution = Convolution2d(
      shape[1], shape[0], kernel: shape[2], stride: try fixture.integers("stride")[0],
      padding: Padding(top: padding[0], bottom: padding[1], left: padding[2], right: padding[3]),
      bias: try fixture.contains("bias"), in: ParameterScope(seed: 0))
    let relu = try fixture.integers("relu")[0] == 1
    #expect(
      try mismatches(with: fixture, parameters: ["weight": convolution.weight, "bias": convolution.bias]) {
        relu ? convolution.withReLU($0) : convolution($0)
      } == [])
  }

  @Test func gradientsAccumulate() throws {
    let convolution = Convolution2d(8, 16, kernel: 3, padding: 1, in: ParameterScope(seed: 1))
    convolution.weight.enableGradient()
    convolution.bias?.enableGradient()
    let (x, weights) = (randomTensor([2, 6, 6, 8], seed: 2), randomTensor([2, 6, 6, 16], seed: 3))
    func pass() {
      let tape = Tape()
      tape.backward(from: innerProduct(convolution(tape.constant(x)), weights))
    }
    pass()
    let once = try #require(convolution.weight.gradient).elements
    let biasOnce = try #require(convolution.bias?.gradient).elements
    pass()
    #expect(relativeError(try #require(convolution.weight.gradient).elements, once.map { 2 * $0 }) < 1e-6)
    #expect(relativeError(try #require(convolution.bias?.gradient).elements, biasOnce.map { 2 * $0 }) < 1e-6)
  }

  /// Large images go through the weights' gradient a few at a time, with a remainder.
  @Test func largeBatchesGatherTheSameGradient() throws {
    let convolution = Convolution2d(16, 48, kernel: 3, padding: 1, in: ParameterScope(seed: 1))
    let (x, weights) = (randomTensor([4, 160, 160, 16], seed: 2), randomTensor([4, 160, 160, 48], seed: 3))
    func gradients(of batches: [Range<Int>]) throws -> (weight: [Float], bias: [Float]) {
      convolution.weight.enableGradient()
      convolution.bias?.enableGradient()
      for batch in batches {
        func part(_ whole: Tensor) -> Tensor {
          let size = whole.count / 4
          return whole.view(at: batch.lowerBound * size, shape: [batch.count] + whole.shape.dropFirst())
        }
        let tape = Tape()
        tape.backward(from: innerProduct(convolution(tape.constant(part(x))), part(weights)))
      }
      return (
        try #require(convolution.weight.gradient).elements, try #require(convolution.bias?.gradient).elements
      )
    }
    let whole = try gradients(of: [0..<4])
    let single = try gradients(of: [0..<1, 1..<2, 2..<3, 3..<4])
    #expect(relativeError(whole.weight, single.weight) < 1e-4)
    #expect(relativeError(whole.bias, single.bias) < 1e-4)
  }

  @Test func frozenWeightsStillSendGradientsBack() throws {
    let convolution = Convolution2d(
      4, 8, kernel: 3, padding: 1, in: ParameterScope(seed: 1, frozen: true))
    #expect(slopeError(of: { convolution($0) }, at: randomTensor([1, 5, 5, 4], seed: 4)) < 1e-2)
    #expect(convolution.weight.gradient == nil)
  }

  @Test func startsAsPyTorchDoes() throws {
    let scope = ParameterScope(seed: 3)
    let convolution = Convolution2d(64, 32, kernel: 3, in: scope / "conv")
    #expect(scope.parameters.map(\.name) == ["conv.weight", "conv.bias"])
    let limit = 1 / Float(64 * 9).squareRoot()
    let weights = convolution.weight.value.elements
    #expect(weights.allSatisfy { abs($0) <= limit })
    let variance = weights.reduce(0) { $0 + $1 * $1 } / Float(weights.count)
    #expect(abs(variance / (limit * limit / 3) - 1) < 0.05)
    #expect(try #require(convolution.bias).value.elements.contains { $0 != 0 })
  }

  @Test func repeatsItselfToTheBit() throws {
    let convolution = Convolution2d(16, 16, kernel: 3, padding: 1, in: ParameterScope(seed: 5))
    let x = randomTensor([3, 12, 12, 16], seed: 6)
    let alone = convolution(x)
    // A larger image in between, so that scratch memory is used again for something smaller.
    _ = convolution(randomTensor([1, 40, 40, 16], seed: 7))
    #expect(convolution(x).elements == alone.elements)
  }
}

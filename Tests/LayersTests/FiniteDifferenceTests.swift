import ImageOperations
import Layers
import Operations
import Tensors
import TestSupport
import Testing

/// Gradients against central differences, for operations that other suites compare with PyTorch alone.
@Suite struct FiniteDifferenceTests {
  @Test(arguments: ["gelu", "softmax", "silu", "upsample", "average pool", "unit channels", "gather", "mse"])
  func inputGradientIsTheSlope(name: String) {
    let target = randomTensor([2, 4, 4, 6], seed: 9)
    let function: (Tensor) -> Tensor =
      switch name {
      case "gelu": { gelu($0) }
      case "softmax": { softmax($0) }
      case "silu": { silu($0) }
      case "upsample": { upsampleNearest($0) }
      case "average pool": { averagePool($0, window: 2) }
      case "unit channels": { unitChannels($0) }
      case "gather": { gatherRows($0.reshaped([32, 6]), [1, 4, 30]) }
      default: { meanSquaredError($0, target) }
      }
    #expect(slopeError(of: function, at: randomTensor([2, 4, 4, 6], seed: 3)) < 1e-2)
  }

  /// Functions with kinks, at points that stay away from them.
  @Test func inputGradientIsTheSlopeBesideKinks() {
    let x = Tensor(
      randomTensor([2, 4, 4, 6], seed: 4).elements.map { $0 + ($0 < 0 ? -0.2 : 0.2) }, shape: [2, 4, 4, 6])
    #expect(slopeError(of: { relu($0) }, at: x, step: 1e-2) < 1e-2)
    #expect(slopeError(of: { l1Loss($0, Tensor([2, 4, 4, 6])) }, at: x, step: 1e-2) < 1e-2)
    // Every window holds values that lie well apart.
    let ladder = Tensor((0..<192).map { Float(($0 * 77) % 193) / 20 }, shape: [2, 4, 4, 6])
    #expect(slopeError(of: { maxPool2x2($0) }, at: ladder, step: 1e-3) < 1e-2)
  }

  @Test func transposedConvolution() {
    let convolution = ConvolutionTranspose2d(
      4, 3, kernel: 4, stride: 2, padding: 1, in: ParameterScope(seed: 0))
    #expect(slopeError(of: { convolution($0) }, at: randomTensor([1, 5, 5, 4], seed: 5)) < 1e-2)
    #expect(
      parameterSlopeError(of: convolution.weight) {
        convolution($0.constant(randomTensor([1, 5, 5, 4], seed: 5)))
      }
        < 1e-2)
  }

  @Test func tokenAssembly() {
    let assembly = TokenAssembly(
      patches: 4, width: 6, maskToken: true, positions: true, in: ParameterScope(seed: 0))
    let visible = assembly.visible(masked: [1, 6], samples: 2)
    let embedded = randomTensor([6, 6], seed: 6)
    let assemble = { (x: Tensor) in assembly(x, visible: visible, samples: 2) }
    #expect(slopeError(of: assemble, at: embedded) < 1e-2)
    for parameter in [assembly.classToken, assembly.maskToken, assembly.positions].compactMap({ $0 }) {
      #expect(
        parameterSlopeError(of: parameter) { assemble($0.constant(embedded)) } < 1e-2, "\(parameter.name)")
    }
  }

  @Test func tables() {
    let x = randomTensor([1], seed: 7)
    let embedding = Embedding(5, 8, in: ParameterScope(seed: 0))
    #expect(
      parameterSlopeError(of: embedding.weight) { embedding([0, 3, 3, 4], alongside: $0.constant(x)) } < 1e-2)
    let scope = ParameterScope(seed: 0)
    let bias = RelativePositionBias(gridHeight: 3, gridWidth: 2, heads: 2, in: scope)
    for table in scope.parameters {
      #expect(parameterSlopeError(of: table) { bias(alongside: $0.constant(x)) } < 1e-2)
    }
  }

  /// How far a parameter's gradient is from the slope along a random direction, in proportion to the slope.
  private func parameterSlopeError(of parameter: Parameter, _ function: (Tape) -> Tensor) -> Float {
    let start = parameter.value.copy()
    defer { parameter.set(start) }
    let direction = randomTensor(parameter.shape, seed: 11)
    let weights = randomTensor(function(Tape()).shape, seed: 12)
    func value(_ distance: Float) -> Float {
      let moved = zip(start.elements, direction.elements).map { $0 + distance * $1 }
      parameter.set(Tensor(moved, shape: parameter.shape))
      return innerProduct(function(Tape()), weights).item
    }
    let step: Float = 0.05
    let expected = (value(step) - value(-step)) / (2 * step)
    parameter.set(start)
    let tape = Tape()
    tape.backward(from: innerProduct(function(tape), weights))
    guard let gradient = parameter.gradient else { return .infinity }
    let found = innerProduct(gradient, direction).item
    return abs(found - expected) / max(abs(expected), 1e-6)
  }
}

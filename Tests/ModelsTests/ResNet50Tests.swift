import Foundation
import ImageOperations
import Layers
import Models
import Operations
import Tensors
import TestSupport
import Testing

@Suite struct ResNet50Tests {
  init() { useSeveralThreads() }

  /// torchvision's network at full width with the fixture's weights.
  private static func network(taps: Set<Int> = [1, 2, 3, 4]) -> ResNet50 {
    let scope = ParameterScope(seed: 0, frozen: true)
    let weights = ResNet50Weights(in: scope)
    let parameters = scope.parameters.sorted { $0.name < $1.name }
    #expect(parameters.count == 5 * 53)
    ThreadPool.current.forEach(parameters.count) { number in
      let parameter = parameters[number]
      let (name, shape) = (parameter.name, parameter.shape)
      let factor = shape.count == 4 ? Float(2 * (6 / Double(shape.dropFirst().reduce(1, *))).squareRoot()) : 1
      parameter.value.withUnsafeMutableElements { elements in
        for element in elements.indices {
          let u = hashedUniform(number, element)
          elements[element] =
            shape.count == 4
            ? (u - 0.5) * factor
            : name.hasSuffix("running_mean")
              ? (u - 0.5) * 0.5
              : name.hasSuffix("running_var") || name.hasSuffix("weight") ? u + 0.5 : u - 0.5
        }
      }
    }
    return ResNet50(weights, taps: taps)
  }

  @Test func featuresAndLossesMatchPyTorch() throws {
    let fixture = try FixtureFile("resnet50.h5")
    let network = Self.network()
    let (image, target) = (try fixture.tensor("image"), try fixture.tensor("target"))
    let features = network.features(image)
    #expect(
      features.map { $0.shape } == [[1, 10, 8, 256], [1, 5, 4, 512], [1, 3, 2, 1024], [1, 2, 1, 2048]])
    for (depth, found) in features.enumerated() {
      #expect(relativeError(found, try fixture["features"].tensor("\(depth)")) < 1e-5)
    }
    let weights = features.enumerated().map { depth, found in
      (0..<(found.shape.last ?? 0)).map { hashedUniform(1000 + depth, $0) }
    }
    let metrics: [(String, any PerceptualNetwork)] = [
      ("mean_squared", network), ("unit_channels", UnitChannelNetwork(network)),
      ("weighted_channels", UnitChannelNetwork(network, channelWeights: weights)),
    ]
    for (name, metric) in metrics {
      let expected = fixture["loss"][name]
      let tape = Tape()
      let leaf = tape.leaf(image)
      let loss = perceptualLoss(metric, leaf, target)
      #expect(relativeError(loss, try expected.tensor("value")) < 1e-5, "\(name)")
      tape.backward(from: loss)
      #expect(relativeError(leaf.gradient, try expected.tensor("gradient")) < 3e-5, "\(name)")
    }
  }

  @Test func fewerTapsMakeAShorterNetwork() {
    let scope = ParameterScope(seed: 1, frozen: true)
    let network = ResNet50(ResNet50Weights(stages: 3, widthDivisor: 8, in: scope), taps: [1, 3])
    #expect(!scope.parameters.contains { $0.name.hasPrefix("layer4") })
    let features = network.features(randomTensor([2, 32, 32, 3], seed: 1))
    #expect(features.map(\.shape) == [[2, 8, 8, 32], [2, 2, 2, 128]])
  }

  /// Features and a loss do not hold on to what their backward does not read.
  @Test func whatFrozenLayersHaveReadIsFreeAgain() {
    let scope = ParameterScope(seed: 1, frozen: true)
    let convolution = Convolution2d(3, 16, kernel: 3, padding: 1, in: scope / "a")
    let linear = Linear(16, 8, in: scope / "b")
    let tape = Tape()
    let x = tape.leaf(randomTensor([1, 8, 8, 3], seed: 1))
    weak var first: Tensor?
    weak var second: Tensor?
    func run() -> Tensor {
      let scaled = scale(x, 2)
      let convolved = convolution(scaled)
      (first, second) = (scaled, convolved)
      return linear(convolved)
    }
    let y = run()
    #expect(first == nil && second == nil)
    tape.backward(from: innerProduct(y, randomTensor(y.shape, seed: 2)))
    #expect(x.gradient?.elements.allSatisfy(\.isFinite) == true)
  }

  /// The same at the end of attention's branch, whose gradient stays what it is with trained weights.
  @Test func aFrozenProjectionLetsGoOfItsBranch() {
    func run(frozen: Bool) -> (gradients: [[Float]], isKept: Bool) {
      let scope = ParameterScope(seed: 1, frozen: frozen)
      let projection = Linear(16, 16, in: scope, initializer: .normal(0.3))
      for parameter in scope.parameters { parameter.enableGradient() }
      let tape = Tape()
      let (x, h) = (
        tape.leaf(randomTensor([2, 5, 16], seed: 1)), tape.leaf(randomTensor([2, 5, 16], seed: 2))
      )
      weak var branch: Tensor?
      func end() -> Tensor {
        let doubled = scale(h, 2)
        branch = doubled
        return projection.residual(x, doubled)
      }
      let y = end()
      let isKept = branch != nil
      tape.backward(from: innerProduct(y, randomTensor(y.shape, seed: 3)))
      return ([x, h].map { $0.gradient?.elements ?? [] }, isKept)
    }
    let (frozen, trained) = (run(frozen: true), run(frozen: false))
    #expect(!frozen.isKept && trained.isKept)
    #expect(frozen.gradients == trained.gradients && frozen.gradients[1].contains { $0 != 0 })
  }
}

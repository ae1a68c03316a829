import Models
import Tensors
import TestSupport
import Testing

@Suite struct VGG16Tests {
  init() { useSeveralThreads() }

  private static func small(_ fixture: FixtureFile, frozen: Bool = true) throws -> VGG16 {
    let network = VGG16(widthDivisor: 16, in: ParameterScope(seed: 0, frozen: frozen))
    #expect(network.parameters.count == 26)
    for parameter in network.parameters {
      let value = try fixture["parameters"].tensor(parameter.name)
      #expect(parameter.shape == value.shape, "\(parameter.name)")
      parameter.value.copyElements(from: value)
    }
    return network
  }

  @Test func featuresMatchPyTorch() throws {
    let fixture = try FixtureFile("vgg16.h5")
    let found = try Self.small(fixture).features(try fixture.tensor("images"))
    #expect(found.count == 5)
    for (index, features) in found.enumerated() {
      #expect(relativeError(features, try fixture["features"].tensor("\(index)")) < 1e-5)
    }
  }

  @Test(arguments: FeatureComparison.allCases)
  func lossMatchesPyTorch(comparison: FeatureComparison) throws {
    let fixture = try FixtureFile("vgg16.h5")
    let network = try Self.small(fixture)
    let tape = Tape()
    let images = tape.leaf(try fixture.tensor("images"))
    let metric: any PerceptualNetwork = comparison == .unitChannels ? UnitChannelNetwork(network) : network
    let loss = perceptualLoss(metric, images, try fixture.tensor("target"))
    let expected = fixture["loss"][comparison.rawValue]
    #expect(relativeError(loss, try expected.tensor("value")) < 1e-5)
    tape.backward(from: loss)
    #expect(relativeError(images.gradient, try expected.tensor("gradient")) < 2e-5)
    #expect(network.parameters.allSatisfy { $0.kind == .frozen && $0.gradient == nil })
  }

  /// torchvision's network at full width, with the weights of `make_vgg_fixtures.py`.
  private static func full() -> VGG16 {
    let network = VGG16(in: ParameterScope(seed: 0, frozen: true))
    let parameters = network.parameters
    ThreadPool.current.forEach(parameters.count) { number in
      let parameter = parameters[number]
      let shape = parameter.shape
      let factor = shape.count == 4 ? Float(2 * (6 / Double(shape.dropFirst().reduce(1, *))).squareRoot()) : 1
      parameter.value.withUnsafeMutableElements {
        for element in $0.indices { $0[element] = (hashedUniform(number, element) - 0.5) * factor }
      }
    }
    return network
  }

  /// Where the processor has wide registers, the whole network works on blocks of channels, forward and backward.
  @Test func theWholeNetworkMatchesPyTorch() throws {
    let fixture = try FixtureFile("vgg16_full.h5")
    let network = Self.full()
    let (images, target) = (try fixture.tensor("images"), try fixture.tensor("target"))
    let features = network.features(images)
    let shapes = [[2, 40, 36, 64], [2, 20, 18, 128], [2, 10, 9, 256], [2, 5, 4, 512], [2, 2, 2, 512]]
    #expect(features.map(\.shape) == shapes)
    // Of the large ones the file has every so many.
    for (depth, (found, every)) in zip(features, [31, 15, 7, 3, 1]).enumerated() {
      let elements = found.elements
      let kept = stride(from: 0, to: elements.count, by: every).map { elements[$0] }
      #expect(relativeError(kept, try fixture["features"].tensor("\(depth)").elements) < 1e-5)
    }
    let metrics: [(String, any PerceptualNetwork)] = [
      ("mean_squared", network), ("unit_channels", UnitChannelNetwork(network)),
    ]
    for (name, metric) in metrics {
      let expected = fixture["loss"][name]
      let tape = Tape()
      let leaf = tape.leaf(images)
      let loss = perceptualLoss(metric, leaf, target)
      #expect(relativeError(loss, try expected.tensor("value")) < 1e-5, "\(name)")
      tape.backward(from: loss)
      #expect(relativeError(leaf.gradient, try expected.tensor("gradient")) < 3e-5, "\(name)")
    }
  }

  @Test func fewerTapsMakeAShorterNetwork() throws {
    let network = VGG16(
      taps: [.stage1, .stage3], widthDivisor: 16, in: ParameterScope(seed: 0, frozen: true))
    #expect(network.parameters.last?.name == "features.14.bias")
    let features = network.features(randomTensor([1, 16, 16, 3], seed: 1))
    #expect(features.map(\.shape) == [[1, 16, 16, 4], [1, 4, 4, 16]])
  }

  @Test func aImageIsLikeItself() throws {
    let network = VGG16(widthDivisor: 16, in: ParameterScope(seed: 0, frozen: true))
    let x = randomTensor([1, 32, 32, 3], seed: 1)
    #expect(perceptualLoss(network, x, x).item == 0)
    #expect(perceptualLoss(network, x, randomTensor([1, 32, 32, 3], seed: 2)).item > 0)
  }
}

@Suite struct PerceptualViTTests {
  private func transformer() throws -> VisionTransformer {
    var configuration = VisionTransformerConfiguration(.tiny)
    configuration.imageSize = 16
    configuration.patchSize = 4
    configuration.width = 16
    configuration.depth = 3
    configuration.heads = 2
    return try VisionTransformer(configuration, in: ParameterScope(seed: 1, frozen: true))
  }

  @Test func gradientReachesTheImage() throws {
    let network = try PerceptualViT(transformer(), blocks: [1, 3])
    let target = randomTensor([2, 16, 16, 3], seed: 2)
    #expect(network.features(target).map(\.shape) == [[2, 17, 16], [2, 17, 16]])
    let x = randomTensor([2, 16, 16, 3], seed: 3)
    #expect(slopeError(of: { perceptualLoss(network, $0, target) }, at: x, step: 1e-2) < 2e-2)
  }

  @Test func blocksMustExist() throws {
    #expect(throws: VisionTransformerConfigurationError.self) {
      try PerceptualViT(transformer(), blocks: [3, 4])
    }
  }
}

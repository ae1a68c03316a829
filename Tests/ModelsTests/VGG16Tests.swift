import Layers
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
    let found = try Self.small(fixture).features(try fixture.tensor("pictures"))
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
    let pictures = tape.leaf(try fixture.tensor("pictures"))
    let metric: any PerceptualNetwork = comparison == .unitChannels ? UnitChannelNetwork(network) : network
    let loss = perceptualLoss(metric, pictures, try fixture.tensor("target"))
    let expected = fixture["loss"][comparison.rawValue]
    #expect(relativeError(loss, try expected.tensor("value")) < 1e-5)
    tape.backward(from: loss)
    #expect(relativeError(pictures.gradient, try expected.tensor("gradient")) < 2e-5)
    #expect(network.parameters.allSatisfy { $0.kind == .frozen && $0.gradient == nil })
  }

  @Test func fewerTapsMakeAShorterNetwork() throws {
    let network = VGG16(
      taps: [.stage1, .stage3], widthDivisor: 16, in: ParameterScope(seed: 0, frozen: true))
    #expect(network.parameters.last?.name == "features.14.bias")
    let features = network.features(randomTensor([1, 16, 16, 3], seed: 1))
    #expect(features.map(\.shape) == [[1, 16, 16, 4], [1, 4, 4, 16]])
  }

  @Test func aPictureIsLikeItself() throws {
    let network = VGG16(widthDivisor: 16, in: ParameterScope(seed: 0, frozen: true))
    let x = randomTensor([1, 32, 32, 3], seed: 1)
    #expect(perceptualLoss(network, x, x).item == 0)
    #expect(perceptualLoss(network, x, randomTensor([1, 32, 32, 3], seed: 2)).item > 0)
  }
}

@Suite struct PerceptualViTTests {
  private func transformer() throws -> VisionTransformer {
    var configuration = VisionTransformerConfiguration.tiny
    configuration.imageSize = 16
    configuration.patchSize = 4
    configuration.width = 16
    configuration.depth = 3
    configuration.heads = 2
    return try VisionTransformer(configuration, in: ParameterScope(seed: 1, frozen: true))
  }

  @Test func gradientReachesThePicture() throws {
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

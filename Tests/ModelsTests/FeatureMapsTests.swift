import Layers
import Models
import Operations
import Tensors
import TestSupport
import Testing

/// Feature maps of transformers for images of any height and width.
@Suite struct FeatureMapsTests {
  private func configuration(_ group: String) -> VisionTransformerConfiguration {
    var configuration = VisionTransformerConfiguration()
    configuration.imageSize = 32
    configuration.patchSize = 8
    configuration.width = 24
    configuration.heads = 3
    configuration.mlpRatio = 2
    (configuration.depth, configuration.positions) =
      switch group {
      case "absolute": (3, .absolute)
      case "shared": (2, [.absolute, .sharedRelative])
      case "separate": (2, .relative)
      default: (1, [.absolute, .relative])
      }
    if group == "absolute" { configuration.layerScale = nil }
    return configuration
  }

  /// Maps and the gradient of every parameter and of the images, against timm's BEiT with interpolated tables.
  @Test(
    arguments: [
      ("absolute", 3, 7, [1, 3]), ("shared", 6, 5, [2]), ("separate", 2, 6, [1, 2]), ("one_side", 4, 6, [1]),
    ])
  func mapsMatchTimm(group: String, height: Int, width: Int, blocks: [Int]) throws {
    let fixture = try FixtureFile("backbone.h5")[group]
    let scope = ParameterScope(seed: 0)
    let model = try VisionTransformer(configuration(group), in: scope)
    let parameters = scope.parameters.filter { !$0.name.hasPrefix("norm.") }
    #expect(Set(parameters.map(\.name)) == Set(try fixture["parameters"].names()))
    for parameter in parameters { parameter.set(try fixture["parameters"].tensor(parameter.name)) }

    let tape = Tape()
    let images = tape.leaf(try fixture.tensor("images"))
    let maps = model.featureMaps(of: images, at: blocks)
    for (block, map) in zip(blocks, maps) {
      #expect(map.shape == [2, height, width, 24])
      #expect(relativeError(map, try fixture["maps"].tensor("\(block)")) <= 2e-5, "block \(block)")
    }
    let losses = try zip(blocks, maps).map { block, map in
      (Float(1), innerProduct(map, try fixture["weights"].tensor("\(block)")))
    }
    var ready: [String] = []
    tape.backward(from: weightedSum(losses)) { ready.append($0.name) }
    #expect(relativeError(images.gradient, try fixture.tensor("images_gradient")) <= 2e-5)
    var largest: (error: Float, name: String) = (0, "")
    for parameter in parameters {
      let error = relativeError(parameter.gradient, try fixture["gradients"].tensor(parameter.name))
      #expect(error <= 2e-5, "\(parameter.name)")
      if error > largest.error { largest = (error, parameter.name) }
    }
    print("\(group): gradients of maps differ by at most \(largest.error) (\(largest.name))")
    #expect(ready.count == parameters.count && Set(ready).count == ready.count)
  }

  /// On the trained grid nothing is interpolated: the bits are those of the tokens.
  @Test(arguments: ["absolute", "shared", "separate"])
  func theTrainedGridIsLeftAlone(group: String) throws {
    let scope = ParameterScope(seed: 0)
    let model = try VisionTransformer(configuration(group), in: scope)
    for (seed, parameter) in scope.parameters.enumerated() {
      parameter.value.copyElements(from: randomTensor(parameter.shape, seed: UInt64(seed)))
    }
    let images = randomTensor([2, 32, 32, 3], seed: 1)
    let wanted = [2, 0]
    for (map, tokens) in zip(
      model.featureMaps(of: images, at: wanted), model.features(images, blocks: wanted))
    {
      #expect(map.shape == [2, 4, 4, 24])
      #expect(map.elements == gatherRows(tokens, (1...16).map { $0 } + (18...33).map { $0 }).elements)
    }
  }

  /// Positions are trained through the interpolation.
  @Test(arguments: ["shared", "separate"])
  func gradientsOfPositionsAreSlopes(group: String) throws {
    let scope = ParameterScope(seed: 0)
    var configuration = configuration(group)
    configuration.layerScale = 1
    configuration.initialDeviation = 0.2
    let model = try VisionTransformer(configuration, in: scope)
    let positions = scope.parameters.filter { [.positionEmbedding, .relativePositionBias].contains($0.role) }
    #expect(positions.count == 2)
    let images = randomTensor([1, 24, 40, 3], seed: 1)
    #expect(
      gradientError(of: [images], parameters: positions, step: 1e-2) {
        model.featureMaps(of: $0[0], at: [2])[0]
      } < 1e-2)
  }

  /// Fixed positions are interpolated as well, and stochastic depth belongs to the sample.
  @Test func samplesDoNotDependOnTheirCompany() throws {
    var configuration = configuration("absolute")
    configuration.positions = .sinCos
    configuration.dropPath = 0.5
    configuration.initialDeviation = 0.2
    let model = try VisionTransformer(configuration, in: ParameterScope(seed: 8))
    let images = randomTensor([3, 16, 48, 3], seed: 1)
    func maps(_ images: Tensor, _ samples: [Int]) -> Tensor {
      model.featureMaps(of: images, at: [3], depth: StochasticDepth(seed: 2, step: 7, samples: samples))[0]
    }
    let together = maps(images, [12, 3, 44])
    for (place, sample) in [12, 3, 44].enumerated() {
      #expect(
        relativeError(
          together[rows: place..<place + 1].copy(), maps(images[rows: place..<place + 1], [sample])) <= 1e-5)
    }
    #expect(relativeError(together, model.featureMaps(of: images, at: [3])[0]) > 1e-2)
  }
}

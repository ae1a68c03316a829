import Models
import Operations
import Tensors
import TestSupport
import Testing

@Suite struct DVAETests {
  init() { useSeveralThreads() }

  /// DALL-E's four groups of two blocks, narrow.
  private static func small() -> DVAEConfiguration {
    var configuration = DVAEConfiguration()
    configuration.imageSize = 16
    configuration.baseWidth = 4
    configuration.vocabulary = 24
    configuration.codebookDimension = 6
    return configuration
  }

  private func fixtureModel() throws -> (DVAE, FixtureFile) {
    let fixture = try FixtureFile("dvae.h5")
    let model = try DVAE(Self.small(), in: ParameterScope(seed: 0))
    #expect(Set(model.parameters.map(\.name)) == Set(try fixture["parameters"].names()))
    for parameter in model.parameters {
      let value = try fixture["parameters"].tensor(parameter.name)
      #expect(parameter.shape == value.shape, "\(parameter.name)")
      parameter.value.copyElements(from: value)
    }
    return (model, fixture)
  }

  @Test(arguments: ["l2", "logit_laplace"])
  func matchesDALLEsInPyTorch(pixel: String) throws {
    let (model, fixture) = try fixtureModel()
    let flat = FlatParameters(model.parameters)
    let tape = Tape()
    let input = tape.constant(try fixture.tensor("images"))
    let output = model(
      input, sampling: DVAE.Sampling(noise: try fixture.tensor("noise"), temperature: 0.7))
    #expect(output.tokens.map { Int($0) } == (try fixture.integers("tokens")))
    #expect(relativeError(output.divergence, try fixture.tensor("divergence")) < 1e-5)
    #expect(relativeError(output.statistics, try fixture.tensor("statistics")) < 1e-5)
    #expect(relativeError(output.reconstruction, try fixture.tensor("reconstruction")) < 1e-5)
    let error =
      pixel == "l2"
      ? meanSquaredError(output.reconstruction, input) : model.likelihoodLoss(output.statistics, input)
    let loss = weightedSum([(1, error), (0.3, output.divergence)])
    #expect(relativeError(loss, try fixture[pixel].tensor("loss")) < 1e-5)

    tape.backward(from: loss)
    #expect(flat.parameters.count == model.parameters.count)
    for parameter in flat.parameters {
      let expected = try fixture[pixel]["gradients"].tensor(parameter.name)
      #expect(relativeError(parameter.gradient, expected) < 5e-5, "\(parameter.name)")
    }
  }

  @Test func tokensAreThoseOfPyTorch() throws {
    let (model, fixture) = try fixtureModel()
    let images = try fixture.tensor("images")
    #expect(relativeError(model.logits(images), try fixture.tensor("logits")) < 1e-5)
    let tokens = model.tokens(images)
    #expect(tokens.map { Int($0) } == (try fixture.integers("tokens")))
    let drawn = model.images(from: tokens)
    #expect(relativeError(drawn, try fixture.tensor("drawn")) < 1e-5)
    let (weight, bias) = (
      try fixture["parameters"].tensor("decoder.blocks.input.w").elements,
      try fixture["parameters"].tensor("decoder.blocks.input.b").elements
    )
    let columns = tokens.flatMap { token in (0..<6).map { weight[$0 * 24 + Int(token)] + bias[$0] } }
    #expect(model.codebookVectors(tokens).elements == columns)
    // Off the tape the model draws from its tokens.
    let output = model(images, sampling: nil)
    #expect(relativeError(output.reconstruction.elements.map { min(max($0, -1), 1) }, drawn.elements) < 1e-6)
    // An image's tokens do not depend on its company.
    #expect(model.tokens(images.view(at: 16 * 16 * 3, shape: [1, 16, 16, 3])) == Array(tokens[4...]))
  }

  /// The fixture's model, each of its channels in a block of sixteen of its own and nothing in the others: wide enough
  /// for blocks of channels where the processor has them.
  @Test func wideModelsSeeTheSame() throws {
    let fixture = try FixtureFile("dvae.h5")
    var configuration = Self.small()
    configuration.baseWidth *= 16
    configuration.codebookDimension *= 16
    let model = try DVAE(configuration, in: ParameterScope(seed: 0))
    let flat = FlatParameters(model.parameters)
    flat.values.fill(0)
    for parameter in model.parameters {
      let narrow = try fixture["parameters"].tensor(parameter.name)
      for (i, place) in Self.places(of: narrow.shape, in: parameter.shape).enumerated() {
        parameter.value[place] = narrow[i]
      }
    }
    let tape = Tape()
    let input = tape.constant(try fixture.tensor("images"))
    let output = model(
      input, sampling: DVAE.Sampling(noise: try fixture.tensor("noise"), temperature: 0.7))
    #expect(output.tokens.map { Int($0) } == (try fixture.integers("tokens")))
    #expect(relativeError(output.statistics, try fixture.tensor("statistics")) < 1e-4)
    tape.backward(
      from: weightedSum([(1, meanSquaredError(output.reconstruction, input)), (0.3, output.divergence)]))
    for parameter in flat.parameters {
      let expected = try fixture["l2"]["gradients"].tensor(parameter.name)
      let gradient = try #require(parameter.gradient)
      let found = Self.places(of: expected.shape, in: parameter.shape).map { gradient[$0] }
      #expect(relativeError(found, expected.elements) < 2e-4, "\(parameter.name)")
    }
  }

  /// Where each element of a weight or bias lies in that of a model sixteen times as wide.
  private static func places(of narrow: [Int], in wide: [Int]) -> [Int] {
    func place(_ channel: Int, isSpread: Bool) -> Int { isSpread ? 16 * channel + 5 * channel % 16 : channel }
    let (inputs, wideInputs) = (narrow.dropFirst().first ?? 1, wide.dropFirst().first ?? 1)
    let kernel = narrow.dropFirst(2).reduce(1, *)
    var result: [Int] = []
    for output in 0..<narrow[0] {
      let row = place(output, isSpread: wide[0] != narrow[0])
      for input in 0..<inputs {
        let start = (row * wideInputs + place(input, isSpread: wideInputs != inputs)) * kernel
        result += start..<start + kernel
      }
    }
    return result
  }

  /// Images whose channels do not fill a block, before groups whose channels do.
  @Test func aNarrowInputBeforeWideGroups() throws {
    var configuration = Self.small()
    configuration.baseWidth = 8
    configuration.channelMultipliers = [8, 16]
    configuration.codebookDimension = 16
    let model = try DVAE(configuration, in: ParameterScope(seed: 1))
    let tokens = model.tokens(randomTensor([2, 16, 16, 3], seed: 2))
    #expect(tokens.count == 2 * 8 * 8 && Set(tokens).count > 1)
    #expect(model.images(from: tokens).shape == [2, 16, 16, 3])
  }

  /// Wide enough for blocks of channels where the processor has them, with something in every channel.
  @Test func gradientsOfWideModelsAreSlopes() throws {
    var configuration = DVAEConfiguration()
    configuration.imageSize = 8
    configuration.baseWidth = 64
    configuration.channelMultipliers = [1, 2]
    configuration.blocksPerGroup = 1
    configuration.vocabulary = 40
    configuration.codebookDimension = 16
    let model = try DVAE(configuration, in: ParameterScope(seed: 2))
    let flat = FlatParameters(model.parameters)
    let images = randomTensor([2, 8, 8, 3], seed: 3)
    let noise = GumbelNoise(seed: 1, step: 0, samples: [4, 9])([2, 4, 4, 40])
    func loss(_ input: Tensor) -> Tensor {
      let output = model(input, sampling: DVAE.Sampling(noise: noise, temperature: 1))
      return weightedSum([(1, meanSquaredError(output.reconstruction, images)), (0.1, output.divergence)])
    }
    let tape = Tape()
    tape.backward(from: loss(tape.constant(images)))
    // The slope along the gradient itself is its squared length.
    let gradient = flat.gradients.copy()
    let squares = gradient.elements.reduce(0.0) { $0 + Double($1) * Double($1) }
    let step = Float(2e-3 / squares.squareRoot())
    func moved(_ distance: Float) -> Double {
      flat.values.add(gradient, times: distance)
      defer { flat.values.add(gradient, times: -distance) }
      return Double(loss(images).item)
    }
    let slope = (moved(step) - moved(-step)) / Double(2 * step)
    #expect(abs(slope / squares - 1) < 2e-2)
  }

  @Test func theDefaultIsDALLEs() throws {
    let configuration = DVAEConfiguration()
    #expect(configuration.patchSize == 8 && configuration.gridSize == 32)
    var slim = configuration
    slim.baseWidth = 4
    slim.vocabulary = 16
    let parameters = try DVAE(slim, in: ParameterScope(seed: 0)).parameters
    let shapes = Dictionary(uniqueKeysWithValues: parameters.map { ($0.name, $0.shape) })
    #expect(shapes["encoder.blocks.input.w"] == [4, 3, 7, 7])
    #expect(shapes["encoder.blocks.group_2.block_1.id_path.w"] == [8, 4, 1, 1])
    #expect(shapes["encoder.blocks.group_4.block_2.res_path.conv_4.w"] == [32, 8, 1, 1])
    #expect(shapes["decoder.blocks.input.w"] == [128, 16, 1, 1])
    #expect(shapes["decoder.blocks.group_1.block_1.res_path.conv_1.w"] == [8, 128, 1, 1])
    #expect(shapes["decoder.blocks.output.conv.b"] == [6])
    #expect(shapes["encoder.blocks.group_1.block_1.id_path.w"] == nil)

    func part(_ name: String) -> [String: [Int]] {
      Dictionary(
        uniqueKeysWithValues: shapes.filter { $0.key.hasPrefix(name) }.map {
          (String($0.key.dropFirst(name.count)), $0.value)
        })
    }
    #expect(
      DVAEConfiguration(encoder: part("encoder."), decoder: part("decoder."), imageSize: 256) == slim)
    #expect(DVAEConfiguration(encoder: part("decoder."), decoder: [:], imageSize: 256) == nil)
  }

  @Test func impossibleConfigurationsNameTheField() {
    let changes: [(String, (inout DVAEConfiguration) -> Void)] = [
      ("imageSize", { $0.imageSize = 100 }), ("baseWidth", { $0.baseWidth = 6 }),
      ("channelMultipliers", { $0.channelMultipliers = [] }),
      ("blocksPerGroup", { $0.blocksPerGroup = 0 }), ("vocabulary", { $0.vocabulary = 0 }),
      ("codebookDimension", { $0.codebookDimension = 0 }),
    ]
    for (field, change) in changes {
      var configuration = DVAEConfiguration()
      change(&configuration)
      let error = #expect(throws: TokenizerConfigurationError.self) { try configuration.validate() }
      #expect(error?.field == field)
    }
  }
}

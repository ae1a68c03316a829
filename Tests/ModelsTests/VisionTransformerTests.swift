import Layers
import Models
import Operations
import Tensors
import TestSupport
import Testing

@Suite struct VisionTransformerTests {
  private func configuration(_ group: String) -> VisionTransformerConfiguration {
    var configuration = VisionTransformerConfiguration()
    configuration.imageSize = 32
    configuration.patchSize = 8
    configuration.width = 24
    configuration.heads = 3
    configuration.mlpRatio = 2
    switch group {
    case "shared":
      configuration.depth = 3
    case "separate":
      configuration.depth = 2
      configuration.positions = [.relative, .absolute]
    default:
      configuration.depth = 1
      configuration.positions = .absolute
      configuration.layerScale = nil
    }
    return configuration
  }

  /// Logits, loss and the gradient of every parameter and of the images, against Hugging Face's BEiT.
  @Test(arguments: ["shared", "separate", "absolute"])
  func maskedImageModelMatchesHuggingFace(group: String) throws {
    let fixture = try FixtureFile("vit.h5")[group]
    let scope = ParameterScope(seed: 0)
    let model = try MaskedImageModel(configuration(group), vocabulary: 64, in: scope)
    #expect(Set(scope.parameters.map(\.name)) == Set(try fixture["parameters"].names()))
    for parameter in scope.parameters { parameter.set(try fixture["parameters"].tensor(parameter.name)) }

    let tape = Tape()
    let images = tape.leaf(try fixture.tensor("images"))
    let masked = try fixture.integers("masked").map { Int32($0) }
    let logits = model(images, masked: masked)
    let (loss, _) = crossEntropy(logits, try fixture.integers("tokens").map { Int32($0) })
    var ready: [String] = []
    tape.backward(from: loss) { ready.append($0.name) }

    let logitsError = relativeError(logits, try fixture.tensor("logits"))
    #expect(logitsError <= 2e-5)
    #expect(relativeError(loss, try fixture.tensor("loss")) <= 1e-5)
    #expect(relativeError(images.gradient, try fixture.tensor("images_gradient")) <= 2e-5)
    var largest: (error: Float, name: String) = (0, "")
    for parameter in scope.parameters {
      let error = Float(relativeError(parameter.gradient, try fixture["gradients"].tensor(parameter.name)))
      #expect(error <= 2e-5, "\(parameter.name)")
      if error > largest.error { largest = (error, parameter.name) }
    }
    print(
      "\(group): logits differ by \(logitsError), gradients by at most \(largest.error) (\(largest.name))")
    #expect(ready.count == scope.parameters.count && Set(ready).count == ready.count)
  }

  /// With products of bfloat16 loss and gradients stay as near to the exact ones as PyTorch's autocast brings them.
  @Test(arguments: ["shared", "separate", "absolute"])
  func gradientsInBFloat16PointWhereTheyShould(group: String) throws {
    let fixture = try FixtureFile("vit.h5")[group]
    let architecture = configuration(group)
    try withPrecision(.bfloat16) {
      let scope = ParameterScope(seed: 0)
      let model = try MaskedImageModel(architecture, vocabulary: 64, in: scope)
      for parameter in scope.parameters { parameter.set(try fixture["parameters"].tensor(parameter.name)) }
      let masked = try fixture.integers("masked").map { Int32($0) }
      let targets = try fixture.integers("tokens").map { Int32($0) }
      func gradients() throws -> (loss: Float, values: [[Float]]) {
        for parameter in scope.parameters { parameter.enableGradient() }
        let tape = Tape()
        let (loss, _) = crossEntropy(
          model(tape.constant(try fixture.tensor("images")), masked: masked), targets)
        tape.backward(from: loss)
        return (loss.item, scope.parameters.map { $0.gradient?.elements ?? [] })
      }
      let (loss, values) = try gradients()
      let exactLoss = try fixture.tensor("loss").item
      #expect(abs(loss / exactLoss - 1) <= max(1.2 * (try fixture["autocast"].tensor("loss").item), 5e-4))
      for (parameter, found) in zip(scope.parameters, values) {
        let autocasts = try fixture["autocast"].tensor(parameter.name).item
        let cosine = cosine(found, try fixture["gradients"].tensor(parameter.name).elements)
        #expect(autocasts > 0.999 && cosine > 0.999, "\(parameter.name)")
        // An angle twice as large.
        #expect(1 - cosine < 4 * Double(1 - autocasts) + 1e-6, "\(parameter.name): \(cosine), \(autocasts)")
      }
      // To the bit.
      #expect(try gradients().values == values)
    }
  }

  @Test func featuresMatchHuggingFace() throws {
    let fixture = try FixtureFile("vit.h5")["shared"]
    let scope = ParameterScope(seed: 0)
    let model = try MaskedImageModel(configuration("shared"), vocabulary: 64, in: scope)
    for parameter in scope.parameters { parameter.set(try fixture["parameters"].tensor(parameter.name)) }
    let images = try fixture.tensor("images")
    let wanted = [3, 0, 1]
    for (number, state) in zip(wanted, model.backbone.features(images, blocks: wanted)) {
      #expect(relativeError(state, try fixture["states"].tensor("\(number)")) <= 1e-5)
    }
    #expect(
      model.backbone.hiddenStates(images).elements
        == model.backbone.features(images, blocks: [3])[0].elements)
  }

  /// Attention of some tokens in each block, of unmasked images.
  @Test(arguments: [("shared", 3), ("separate", 2), ("absolute", 1)])
  func attentionProbabilitiesMatchHuggingFace(group: String, depth: Int) throws {
    let fixture = try FixtureFile("vit.h5")[group]
    let scope = ParameterScope(seed: 0)
    let model = try MaskedImageModel(configuration(group), vocabulary: 64, in: scope)
    for parameter in scope.parameters { parameter.set(try fixture["parameters"].tensor(parameter.name)) }
    let images = try fixture.tensor("images")
    let rows = [0, 5, 16, 18, 50, 34]  // of three images of 17 tokens, in any order
    for block in 1...depth {
      let found = model.backbone.attentionProbabilities(images, rows: rows, block: block)
      let expected = try fixture["attentions"].tensor("\(block)")
      #expect(found.shape == [6, 3, 17])
      for (place, row) in rows.enumerated() {
        for head in 0..<3 {
          let start = ((row / 17 * 3 + head) * 17 + row % 17) * 17
          let own = Array(found.elements[(place * 3 + head) * 17..<(place * 3 + head + 1) * 17])
          #expect(
            relativeError(own, Array(expected.elements[start..<start + 17])) <= 2e-5,
            "block \(block), row \(row), head \(head)")
          #expect(abs(own.reduce(0, +) - 1) < 1e-6)
        }
      }
    }
  }

  /// The last block for the rows that are read, with samples dropped here and there, against the whole.
  @Test(arguments: [false, true])
  func readRowsMatchTheWhole(drops: Bool) throws {
    var configuration = configuration("shared")
    configuration.dropPath = 0.6
    configuration.layerScale = 0.7
    configuration.initialDeviation = 0.2
    let scope = ParameterScope(seed: 8)
    let model = try VisionTransformer(configuration, maskToken: true, in: scope)
    let images = randomTensor([4, 32, 32, 3], seed: 1)
    let masked: [Int32] = [0, 5, 6, 15, 33, 40, 49, 60]
    let rows = masked.map { Int($0) / 16 * 17 + 1 + Int($0) % 16 }
    let dy = randomTensor([rows.count, 24], seed: 2)
    for step in 0..<(drops ? 6 : 1) {
      let depth = drops ? StochasticDepth(seed: 1, step: step, samples: [9, 4, 7, 1]) : nil
      func run(_ function: (Tensor) -> Tensor) -> [Tensor?] {
        for parameter in scope.parameters { parameter.enableGradient() }
        let (y, gradients) = differentiate([images], dy: dy) { function($0[0]) }
        return [y] + gradients + scope.parameters.map(\.gradient)
      }
      let whole = run { gatherRows(model.hiddenStates($0, masked: masked, depth: depth), rows) }
      let part = run { model.hiddenStates($0, masked: masked, rows: rows, depth: depth) }
      for (index, (found, expected)) in zip(part, whole).enumerated() {
        #expect(expected.map { relativeError(found, $0) <= 2e-5 } == true, "step \(step), value \(index)")
      }
    }
  }

  /// Stochastic depth against its definition: branches times 0 or 1 / (1 - rate), sample by sample.
  @Test func droppedSamplesEqualSmallerBatches() throws {
    var configuration = configuration("shared")
    configuration.dropPath = 0.5
    // Branches as large as what they are added to, so that leaving one out shows.
    configuration.layerScale = 1
    configuration.initialDeviation = 0.2
    let model = try VisionTransformer(configuration, in: ParameterScope(seed: 8))
    let images = randomTensor([3, 32, 32, 3], seed: 1)
    let indices = [12, 3, 44]
    let together = model.hiddenStates(
      images, depth: StochasticDepth(seed: 2, step: 7, samples: indices))
    for sample in 0..<3 {
      let own = images.view(at: sample * 32 * 32 * 3, shape: [1, 32, 32, 3])
      let alone = model.hiddenStates(
        own, depth: StochasticDepth(seed: 2, step: 7, samples: [indices[sample]]))
      #expect(relativeError(together.view(at: sample * 17 * 24, shape: [1, 17, 24]), alone) <= 1e-5)
    }
    #expect(relativeError(together, model.hiddenStates(images)) > 1e-2)
  }

  @Test func nothingMaskedCostsNothing() throws {
    let scope = ParameterScope(seed: 0)
    let model = try MaskedImageModel(configuration("shared"), vocabulary: 64, in: scope)
    for parameter in scope.parameters { parameter.enableGradient() }
    let tape = Tape()
    let logits = model(tape.constant(randomTensor([2, 32, 32, 3], seed: 1)), masked: [])
    let (loss, _) = crossEntropy(logits, [])
    tape.backward(from: loss)
    #expect(loss.item == 0)
    for parameter in scope.parameters {
      #expect(parameter.gradient?.elements.allSatisfy { $0 == 0 } == true, "\(parameter.name)")
    }
  }

  @Test func startsAsBEiT() throws {
    let scope = ParameterScope(seed: 0)
    _ = try MaskedImageModel(.init(.tiny), vocabulary: 128, in: scope)
    let parameters = Dictionary(uniqueKeysWithValues: scope.parameters.map { ($0.name, $0) })
    func largest(_ name: String) -> Float { parameters[name]?.value.elements.map(abs).max() ?? .nan }
    #expect(largest("blocks.11.mlp.fc1.weight") <= 0.02 && largest("blocks.11.mlp.fc1.weight") > 0.0199)
    let deepest: Float = 0.02 / Float(24).squareRoot()
    #expect(
      largest("blocks.11.mlp.fc2.weight") <= deepest && largest("blocks.11.mlp.fc2.weight") > 0.99 * deepest)
    #expect(abs(largest("blocks.0.attn.proj.weight") / (0.02 / Float(2).squareRoot()) - 1) < 0.01)
    #expect(largest("rel_pos_bias.relative_position_bias_table") == 0)
    #expect(largest("blocks.3.attn.q_bias") == 0)
    #expect(parameters["blocks.5.gamma_1"]?.value.elements.allSatisfy { $0 == 0.1 } == true)
    for parameter in scope.parameters {
      let isMatrix = parameter.shape.count > 1
      let isPosition = parameter.name.contains("token") || parameter.name.contains("pos")
      #expect((parameter.role == .weight) == (isMatrix && !isPosition), "\(parameter.name)")
    }
  }

  @Test func aFieldThatDoesNotFitIsNamed() {
    func error(_ change: (inout VisionTransformerConfiguration) -> Void) -> String? {
      var configuration = VisionTransformerConfiguration()
      change(&configuration)
      do {
        try configuration.validate()
        return nil
      } catch {
        return (error as? VisionTransformerConfigurationError)?.field
      }
    }
    #expect(error { _ in } == nil)
    #expect(error { $0.imageSize = 225 } == "imageSize")
    #expect(error { $0.patchSize = 0 } == "patchSize")
    #expect(error { $0.heads = 7 } == "heads")
    #expect(error { $0.depth = 0 } == "depth")
    #expect(error { $0.width = -1 } == "width")
    #expect(error { $0.mlpRatio = 0 } == "mlpRatio")
    #expect(error { $0.mlpRatio = .infinity } == "mlpRatio")
    #expect(error { $0.layerScale = .nan } == "layerScale")
    #expect(error { $0.dropPath = 1 } == "dropPath")
    #expect(error { $0.positions = [.relative, .sharedRelative] } == "positions")
    #expect(throws: VisionTransformerConfigurationError.self) {
      try MaskedImageModel(.init(.tiny), vocabulary: 0, in: ParameterScope(seed: 0))
    }
    var odd = VisionTransformerConfiguration()
    odd.imageSize = 225
    let problem = #expect(throws: VisionTransformerConfigurationError.self) { try odd.validate() }
    #expect(
      problem?.description
        == "vision transformer: the image size is 225; it must be a positive multiple of the patch size, 16")
    for size in ViTSize.allCases {
      #expect(throws: Never.self) { try VisionTransformerConfiguration(size).validate() }
    }
  }

  /// What is predicted of a masked patch does not depend on which others are predicted, for tokens and for pixels.
  @Test(arguments: [MaskedImageModel.Target.tokens(vocabulary: 12), .pixels])
  func allPatchesHoldTheMaskedOnes(target: MaskedImageModel.Target) throws {
    var configuration = VisionTransformerConfiguration(.tiny)
    (configuration.imageSize, configuration.patchSize, configuration.depth) = (16, 4, 2)
    let scope = ParameterScope(seed: 4)
    let model = try MaskedImageModel(configuration, predicting: target, in: scope)
    let outputs = target == .pixels ? 48 : 12
    #expect(
      scope.parameters.contains {
        $0.name == (target == .pixels ? "pixel_head.weight" : "lm_head.weight") && $0.shape[0] == outputs
      })
    let images = randomTensor([2, 16, 16, 3], seed: 5)
    let masked: [Int32] = [1, 2, 7, 17, 30, 31]
    let some = model(images, masked: masked)
    let all = model(images, masked: masked, predicted: (0..<32).map { Int32($0) })
    #expect(some.shape == [6, outputs] && all.shape == [32, outputs])
    #expect(relativeError(gatherRows(all, masked.map { Int($0) }), some) < 1e-5)
    for parameter in scope.parameters { parameter.enableGradient() }
    let tape = Tape()
    let y = model(
      tape.constant(images), masked: masked, predicted: (0..<32).map { Int32($0) })
    tape.backward(from: meanSquaredError(y, randomTensor([32, outputs], seed: 6)))
    #expect(scope.parameters.allSatisfy { $0.gradient?.elements.contains { $0 != 0 } ?? false })
  }
}

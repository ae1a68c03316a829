import Layers
import Models
import Operations
import Tensors
import TestSupport
import Testing

@Suite struct VQVAETests {
  init() { useSeveralThreads() }

  private static func small() -> VQVAEConfiguration {
    var configuration = VQVAEConfiguration()
    configuration.imageSize = 16
    configuration.baseWidth = 8
    configuration.channelMultipliers = [1, 2]
    configuration.blocksPerLevel = 1
    configuration.extraDecoderBlocks = 1
    configuration.codebookSize = 32
    configuration.codebookDimension = 8
    configuration.normalizationGroups = 4
    return configuration
  }

  @Test func matchesVQGANInPyTorch() throws {
    let fixture = try FixtureFile("vqvae.h5")
    let model = try VQVAE(Self.small(), in: ParameterScope(seed: 0))
    let vectors = try fixture.tensor("embedding")
    model.quantizer.revive(entries: Array(0..<vectors.shape[0]), with: vectors)
    let trained = model.parameters.filter { $0.kind == .trained }
    #expect(Set(trained.map(\.name)) == Set(try fixture["parameters"].names()))
    for parameter in trained {
      let value = try fixture["parameters"].tensor(parameter.name)
      #expect(parameter.shape == value.shape, "\(parameter.name)")
      parameter.value.copyElements(from: value)
    }
    // As in training: values and gradients in flat buffers.
    let flat = FlatParameters(model.parameters)
    #expect(flat.parameters.count == trained.count)

    let images = try fixture.tensor("images")
    let tape = Tape()
    let input = tape.constant(images)
    let output = model(input, mode: .training)
    #expect(output.tokens.map { Int($0) } == (try fixture.integers("indices")))
    #expect(relativeError(output.encoded, try fixture.tensor("encoded")) < 1e-5)
    #expect(relativeError(output.commitment, try fixture.tensor("commitment")) < 1e-5)
    #expect(relativeError(output.reconstruction, try fixture.tensor("reconstruction")) < 1e-5)
    let loss = weightedSum([
      (1, meanSquaredError(output.reconstruction, input)), (0.25, output.commitment),
    ])
    #expect(relativeError(loss, try fixture.tensor("loss")) < 1e-5)

    var ready: [String] = []
    tape.backward(from: loss) { ready.append($0.name) }
    #expect(Set(ready) == Set(trained.map(\.name)) && ready.count == trained.count)
    for parameter in trained {
      let expected = try fixture["gradients"].tensor(parameter.name)
      // A bias ahead of the normalization over one group, or added to all keys alike, has no effect: its gradient
      // is nothing but rounding.
      if (expected.elements.map { abs($0) }.max() ?? 0) < 1e-7 { continue }
      #expect(relativeError(parameter.gradient, expected) < 5e-5, "\(parameter.name)")
    }
  }

  /// With products of bfloat16 gradients point where the exact ones do, at least where PyTorch's autocast brings them so.
  @Test func gradientsInBFloat16PointWhereTheyShould() throws {
    let whole = try FixtureFile("vqvae.h5")
    let fixture = whole["precision"]
    try withPrecision(.bfloat16) {
      let model = try VQVAE(Self.small(), in: ParameterScope(seed: 0))
      let vectors = try whole.tensor("embedding")
      model.quantizer.revive(entries: Array(0..<vectors.shape[0]), with: vectors)
      let trained = model.parameters.filter { $0.kind == .trained }
      for parameter in trained { parameter.set(try whole["parameters"].tensor(parameter.name)) }
      let tape = Tape()
      let input = tape.constant(try fixture.tensor("images"))
      let output = model(input, mode: .training)
      #expect(output.tokens.map { Int($0) } == (try fixture.integers("indices")))
      let loss = weightedSum([
        (1, meanSquaredError(output.reconstruction, input)), (0.25, output.commitment),
      ])
      let error = abs(loss.item / (try fixture.tensor("loss").item) - 1)
      #expect(error <= max(1.2 * (try fixture["autocast"].tensor("loss").item), 1e-3))
      tape.backward(from: loss)
      var (own, autocasts) = (0.0, 0.0)
      for parameter in trained {
        let expected = try fixture["gradients"].tensor(parameter.name)
        if (expected.elements.map { abs($0) }.max() ?? 0) < 1e-7 { continue }
        own += 1 - cosine(try #require(parameter.gradient).elements, expected.elements)
        autocasts += 1 - Double(try fixture["autocast"].tensor(parameter.name).item)
      }
      // So small a network is at the mercy of each rounding: all parameters together tell.
      #expect(own < 1.2 * autocasts && own < 0.002 * Double(trained.count), "\(own), \(autocasts)")
      print("cosines fall short of one by \(own) in all, by \(autocasts) under autocast")
    }
  }

  @Test func tokensAndImagesGoTogether() throws {
    let model = try VQVAE(Self.small(), in: ParameterScope(seed: 1))
    // So that something is drawn beyond black and white.
    model.lastLayer.bias?.value.copyElements(from: Tensor([1, -1, 0], shape: [3]))
    let images = randomTensor([3, 16, 16, 3], seed: 2)
    let tokens = model.tokens(images)
    #expect(tokens.count == 3 * 8 * 8)
    #expect(tokens == model(images, mode: .evaluation).tokens)
    let whole = model(images, mode: .evaluation).reconstruction.elements
    #expect(whole.contains { $0 > 1 } && whole.contains { $0 < -1 })
    #expect(model.images(from: tokens).elements == whole.map { min(max($0, -1), 1) })
    let vectors = model.codebookVectors(tokens)
    #expect(vectors.shape == [3 * 8 * 8, model.configuration.codebookDimension])
    let grid = vectors.reshaped([3, 8, 8, model.configuration.codebookDimension])
    #expect(model.decode(grid).elements == whole)
    // An image's tokens do not depend on its company.
    #expect(model.tokens(images.view(at: 16 * 16 * 3, shape: [1, 16, 16, 3])) == Array(tokens[64..<128]))
  }

  @Test func theDefaultIsPeCos() throws {
    let configuration = VQVAEConfiguration()
    #expect(configuration.patchSize == 16 && configuration.gridSize == 14)
    var slim = configuration
    slim.baseWidth = 8
    slim.codebookSize = 64
    let names = try VQVAE(slim, in: ParameterScope(seed: 0)).parameters.map(\.name)
    for name in [
      "encoder.conv_in.weight", "encoder.down.0.block.1.norm2.bias", "encoder.down.3.downsample.conv.weight",
      "encoder.down.4.attn.1.proj_out.weight", "encoder.mid.attn_1.q.weight", "encoder.norm_out.weight",
      "encoder.down.2.block.0.nin_shortcut.weight", "quant_conv.weight", "quantize.embedding",
      "quantize.cluster_size", "quantize.embedding_average", "post_quant_conv.bias",
      "decoder.up.4.upsample.conv.weight", "decoder.up.0.block.1.conv2.weight", "decoder.conv_out.bias",
    ] {
      #expect(names.contains(name), "\(name)")
    }
    #expect(!names.contains { $0.hasPrefix("decoder.up.0.block.2") || $0.contains("up.0.upsample") })
  }

  /// The codebook starts from the first batch, and a few steps of gradient descent bring the loss down.
  @Test func learns() throws {
    let model = try VQVAE(Self.small(), in: ParameterScope(seed: 3))
    let flat = FlatParameters(model.parameters)
    let images = randomTensor([2, 16, 16, 3], seed: 4)
    let z = model.encode(images)
    model.quantizer.revive(entries: Array(0..<32), with: z.view(at: 0, shape: [32, 8]))
    var losses: [Float] = []
    for _ in 0..<30 {
      let tape = Tape()
      flat.gradients.fill(0)
      let input = tape.constant(images)
      let output = model(input, mode: .training)
      let loss = weightedSum([
        (1, meanSquaredError(output.reconstruction, input)), (0.25, output.commitment),
      ])
      losses.append(loss.item)
      tape.backward(from: loss)
      model.quantizer.update()
      flat.values.add(flat.gradients, times: -0.05)
    }
    #expect(losses.allSatisfy { $0.isFinite })
    #expect(try #require(losses.last) < 0.9 * losses[0])
  }

  @Test func impossibleConfigurationsNameTheField() {
    let changes: [(String, (inout VQVAEConfiguration) -> Void)] = [
      ("imageSize", { $0.imageSize = 100 }), ("imageSize", { $0.imageSize = 0 }),
      ("baseWidth", { $0.baseWidth = 0 }), ("channelMultipliers", { $0.channelMultipliers = [] }),
      ("channelMultipliers", { $0.channelMultipliers = [1, 0] }),
      ("blocksPerLevel", { $0.blocksPerLevel = 0 }), ("extraDecoderBlocks", { $0.extraDecoderBlocks = -1 }),
      ("codebookSize", { $0.codebookSize = 0 }), ("codebookDimension", { $0.codebookDimension = -3 }),
      ("normalizationGroups", { $0.normalizationGroups = 0 }), ("codebookDecay", { $0.codebookDecay = 1 }),
      ("commitmentWeight", { $0.commitmentWeight = .nan }),
    ]
    for (field, change) in changes {
      var configuration = VQVAEConfiguration()
      change(&configuration)
      do {
        try configuration.validate()
        Issue.record("\(field) was accepted")
      } catch let error as TokenizerConfigurationError {
        #expect(error.field == field && error.description.hasPrefix(field))
      } catch {
        Issue.record("\(error)")
      }
    }
  }
}

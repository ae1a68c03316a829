import Layers
import Models
import Tensors
import TestSupport
import Testing

@Suite struct MomentumContrastTests {
  init() { useSeveralThreads() }

  private func configuration() -> VisionTransformerConfiguration {
    var result = VisionTransformerConfiguration()
    result.imageSize = 12
    result.patchSize = 4
    result.width = 16
    result.depth = 2
    result.heads = 2
    result.layerScale = nil
    result.dropPath = 0
    result.positions = .sinCos
    result.qkvBias = .full
    result.initialization = .xavierUniform
    result.hasFixedPatchProjection = true
    return result
  }

  /// A small model, and all its parameters, those of the momentum encoder below `momentum.` as in the fixture.
  private func model(seed: UInt64) throws -> (
    MomentumContrast, parameters: [(name: String, parameter: Parameter)]
  ) {
    let (scope, momentum) = (ParameterScope(seed: seed), ParameterScope(seed: seed).untrained)
    let model = try MomentumContrast(
      configuration(), hiddenWidth: 24, outputWidth: 8, in: scope, momentumEncoderIn: momentum)
    return (
      model,
      scope.parameters.map { ($0.name, $0) } + momentum.parameters.map { ("momentum." + $0.name, $0) }
    )
  }

  /// θ' ← m θ' + (1 − m) θ, as the trainer does before a step.
  private func follow(_ model: MomentumContrast, _ momentum: Double) {
    for (leader, follower) in model.followers {
      let values = zip(follower.value.elements, leader.value.elements).map {
        Float(momentum * Double($0) + (1 - momentum) * Double($1))
      }
      follower.value.copyElements(from: Tensor(values, shape: follower.shape))
    }
  }

  @Test func matchesPyTorch() throws {
    let fixture = try FixtureFile("moco.h5")
    let (model, parameters) = try model(seed: 0)
    for (name, parameter) in parameters {
      let value = try fixture["before"].tensor(name)
      #expect(parameter.shape == value.shape, "\(name)")
      if name == "pos_embed" { #expect(relativeError(parameter.value, value) < 1e-6) }
      parameter.value.copyElements(from: value)
      parameter.enableGradient()
    }
    #expect(try fixture["before"].names().count == parameters.count)

    let tape = Tape()
    let views = try ["first", "second"].map { tape.constant(try fixture["views"].tensor($0)) }
    follow(model, 0.9)
    let (loss, correct) = model(views[0], views[1], mode: .training)
    #expect(relativeError(loss, try fixture.tensor("loss")) < 1e-5)
    #expect([correct] == (try fixture.integers("correct")))
    tape.backward(from: loss)
    for (name, parameter) in parameters where parameter.kind == .trained {
      // Small gradients are sums of large terms that cancel.
      let expected = try fixture["gradient"].tensor(name)
      let scale = max(expected.elements.map(abs).max() ?? 0, 1e-2)
      let worst = zip(parameter.gradient?.elements ?? [.nan], expected.elements).map { abs($0 - $1) }.max()
      #expect((worst ?? .infinity) < 3e-5 * scale, "\(name)")
    }
    let changed = try fixture["after"].names()
    #expect(
      parameters.filter { $0.parameter.kind == .state && changed.contains($0.name) }.count == changed.count)
    for (name, parameter) in parameters where changed.contains(name) {
      let expected = try fixture["after"].tensor(name)
      // Means of what was normalized before are almost zero.
      let scale = max(expected.elements.map(abs).max() ?? 0, 1e-2)
      let worst = zip(parameter.value.elements, expected.elements).map { abs($0 - $1) }.max()
      #expect((worst ?? .infinity) < 1e-5 * scale, "\(name)")
    }
  }

  @Test func itStartsWithTheMomentumEncoderAlikeAndPatchesFixed() throws {
    let (_, parameters) = try model(seed: 3)
    let values = Dictionary(uniqueKeysWithValues: parameters.map { ($0.name, $0.parameter) })
    let followers = parameters.filter { $0.name.hasPrefix("momentum.") }
    #expect(followers.count > 40 && followers.allSatisfy { $0.parameter.kind == .state })
    for (name, follower) in followers {
      let leader = try #require(values[String(name.dropFirst("momentum.".count))])
      #expect(leader.value.elements == follower.value.elements, "\(name)")
    }
    for name in ["patch_embed.proj.weight", "patch_embed.proj.bias", "pos_embed"] {
      #expect(values[name]?.kind == .state)
    }
    #expect(values["blocks.0.attn.qkv.weight"]?.kind == .trained)
  }

  @Test func evaluationChangesNothing() throws {
    let (model, parameters) = try model(seed: 3)
    let before = parameters.map(\.parameter.value.elements)
    let (x, y) = (randomTensor([4, 12, 12, 3], seed: 1), randomTensor([4, 12, 12, 3], seed: 2))
    let (loss, _) = model(x, y, mode: .evaluation)
    #expect(loss.item.isFinite && parameters.map(\.parameter.value.elements) == before)
    #expect(model(x, y, mode: .evaluation).loss.item == loss.item)
    _ = model(x, y, mode: .training)
    #expect(parameters.map(\.parameter.value.elements) != before)
  }
}

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

  private func model(in scope: ParameterScope) throws -> MomentumContrast {
    try MomentumContrast(configuration(), hiddenWidth: 24, outputWidth: 8, in: scope)
  }

  @Test func matchesPyTorch() throws {
    let fixture = try FixtureFile("moco.h5")
    let scope = ParameterScope(seed: 0)
    let model = try model(in: scope)
    for parameter in scope.parameters {
      let value = try fixture["before"].tensor(parameter.name)
      #expect(parameter.shape == value.shape, "\(parameter.name)")
      if parameter.name == "pos_embed" { #expect(relativeError(parameter.value, value) < 1e-6) }
      parameter.value.copyElements(from: value)
      parameter.enableGradient()
    }
    #expect(try fixture["before"].names().count == scope.parameters.count)

    let tape = Tape()
    let views = try ["first", "second"].map { tape.constant(try fixture["views"].tensor($0)) }
    let (loss, correct) = model(views[0], views[1], momentum: 0.9)
    #expect(relativeError(loss, try fixture.tensor("loss")) < 1e-5)
    #expect([correct] == (try fixture.integers("correct")))
    tape.backward(from: loss)
    for parameter in scope.parameters where parameter.kind == .trained {
      // Small gradients are sums of large terms that cancel.
      let expected = try fixture["gradient"].tensor(parameter.name)
      let scale = max(expected.elements.map(abs).max() ?? 0, 1e-2)
      let worst = zip(parameter.gradient?.elements ?? [.nan], expected.elements).map { abs($0 - $1) }.max()
      #expect((worst ?? .infinity) < 3e-5 * scale, "\(parameter.name)")
    }
    let changed = try fixture["after"].names()
    #expect(scope.parameters.filter { $0.kind == .state && changed.contains($0.name) }.count == changed.count)
    for parameter in scope.parameters where changed.contains(parameter.name) {
      let expected = try fixture["after"].tensor(parameter.name)
      // Means of what was normalized before are almost zero.
      let scale = max(expected.elements.map(abs).max() ?? 0, 1e-2)
      let worst = zip(parameter.value.elements, expected.elements).map { abs($0 - $1) }.max()
      #expect((worst ?? .infinity) < 1e-5 * scale, "\(parameter.name)")
    }
  }

  @Test func itStartsWithTheMomentumEncoderAlikeAndPatchesFixed() throws {
    let scope = ParameterScope(seed: 3)
    _ = try model(in: scope)
    let values = Dictionary(uniqueKeysWithValues: scope.parameters.map { ($0.name, $0) })
    let followers = scope.parameters.filter { $0.name.hasPrefix("momentum.") }
    #expect(followers.count > 40 && followers.allSatisfy { $0.kind == .state })
    for follower in followers {
      let leader = try #require(values[String(follower.name.dropFirst("momentum.".count))])
      #expect(leader.value.elements == follower.value.elements, "\(follower.name)")
    }
    for name in ["patch_embed.proj.weight", "patch_embed.proj.bias", "pos_embed"] {
      #expect(values[name]?.kind == .state)
    }
    #expect(values["blocks.0.attn.qkv.weight"]?.kind == .trained)
  }

  @Test func evaluationChangesNothing() throws {
    let scope = ParameterScope(seed: 3)
    let model = try model(in: scope)
    let before = scope.parameters.map(\.value.elements)
    let (x, y) = (randomTensor([4, 12, 12, 3], seed: 1), randomTensor([4, 12, 12, 3], seed: 2))
    let (loss, _) = model(x, y, momentum: nil)
    #expect(loss.item.isFinite && scope.parameters.map(\.value.elements) == before)
    #expect(model(x, y, momentum: nil).loss.item == loss.item)
    _ = model(x, y, momentum: 0.5)
    #expect(scope.parameters.map(\.value.elements) != before)
  }
}

import Layers
import Operations
import Tensors
import TestSupport
import Testing

/// Patches in, tokens out: patch embedding, assembly, embedding tables, gathering.
@Suite struct TokenTests {
  private let fixtures: FixtureFile

  init() throws { fixtures = try FixtureFile("transformer.h5", of: "OperationsTests") }

  @Test func patchEmbeddingMatchesPyTorch() throws {
    let fixture = fixtures["patch_embedding"]
    let embedding = PatchEmbedding(patchSize: 4, width: 10, in: ParameterScope(seed: 0))
    embedding.weight.set(try fixture.tensor("weight"))
    embedding.bias.set(try fixture.tensor("bias"))
    let images = try fixture.tensor("images")
    let (y, gradients) = differentiate([images], dy: try fixture.tensor("dy")) { embedding($0[0]) }
    #expect(relativeError(y, try fixture.tensor("y")) <= 1e-5)
    #expect(relativeError(gradients[0], try fixture.tensor("dimages")) <= 1e-5)
    #expect(relativeError(embedding.weight.gradient, try fixture.tensor("dweight")) <= 1e-5)
    #expect(relativeError(embedding.bias.gradient, try fixture.tensor("dbias")) <= 1e-5)

    let some = [0, 4, 5, 11]
    let part = embedding(images, patches: some)
    #expect(relativeError(part, gatherRows(y, some)) <= 1e-6)
    #expect(
      gradientError(of: [images], parameters: [embedding.weight]) { embedding($0[0], patches: some) } < 1e-2
    )
  }

  @Test func assemblyMatchesPyTorch() throws {
    let fixture = fixtures["token_assembly"]
    let assembly = TokenAssembly(
      patches: 6, width: 8, maskToken: true, positions: true, in: ParameterScope(seed: 0))
    let parameters = [assembly.classToken, assembly.maskToken, assembly.positions].compactMap { $0 }
    for parameter in parameters { parameter.set(try fixture.tensor(parameter.name)) }
    let visible = assembly.visible(masked: try fixture.integers("masked").map { Int32($0) }, samples: 2)
    #expect(visible == [0, 2, 5, 7, 8, 9, 11])
    let (y, gradients) = differentiate([try fixture.tensor("patches")], dy: try fixture.tensor("dy")) {
      assembly(gatherRows($0[0], visible), visible: visible, samples: 2)
    }
    #expect(relativeError(y, try fixture.tensor("y")) <= 1e-6)
    #expect(relativeError(gradients[0], try fixture.tensor("dpatches")) <= 1e-6)
    for parameter in parameters {
      #expect(relativeError(parameter.gradient, try fixture.tensor("d" + parameter.name)) <= 1e-6)
      #expect(parameter.role == (parameter.name == "pos_embed" ? .positionEmbedding : .token))
    }
  }

  @Test func assemblyOfAllPatchesNeedsNoMaskToken() {
    let assembly = TokenAssembly(
      patches: 4, width: 3, maskToken: false, positions: false, in: ParameterScope(seed: 0))
    #expect(assembly.maskToken == nil && assembly.positions == nil)
    let patches = randomTensor([8, 3], seed: 1)
    let y = assembly(patches, visible: nil, samples: 2)
    #expect(y.shape == [2, 5, 3])
    let token = assembly.classToken.value.elements
    #expect(y.elements == token + patches.elements[..<12] + token + patches.elements[12...])
  }

  @Test func embeddingMatchesPyTorch() throws {
    let fixture = fixtures["embedding"]
    let embedding = Embedding(7, 9, in: ParameterScope(seed: 0))
    embedding.weight.set(try fixture.tensor("weight"))
    let indices = try fixture.integers("indices").map { Int32($0) }
    let (y, _) = differentiate([Tensor([1])], dy: try fixture.tensor("dy")) {
      embedding(indices, alongside: $0[0])
    }
    #expect(relativeError(y, try fixture.tensor("y")) == 0)
    #expect(relativeError(embedding.weight.gradient, try fixture.tensor("dweight")) <= 1e-6)
  }

  @Test func gatheringRowsMatchesPyTorch() throws {
    let fixture = fixtures["gather_rows"]
    let rows = try fixture.integers("rows")
    let (y, gradients) = differentiate([try fixture.tensor("x")], dy: try fixture.tensor("dy")) {
      gatherRows($0[0], rows)
    }
    #expect(relativeError(y, try fixture.tensor("y")) == 0)
    #expect(relativeError(gradients[0], try fixture.tensor("dx")) == 0)
  }

  @Test func meanOfPatchesMatchesPyTorch() throws {
    let fixture = fixtures["mean_of_patches"]
    let (y, gradients) = differentiate([try fixture.tensor("x")], dy: try fixture.tensor("dy")) {
      meanOfPatches($0[0])
    }
    #expect(relativeError(y, try fixture.tensor("y")) <= 1e-6)
    #expect(relativeError(gradients[0], try fixture.tensor("dx")) <= 1e-6)
    #expect(slopeError(of: meanOfPatches, at: randomTensor([2, 5, 7], seed: 3)) < 1e-2)
  }
}

import ImageOperations
import Operations
import Tensors
import TestSupport
import Testing

/// Pixel regression at masked positions, against PyTorch.
@Suite struct PatchPixelsTests {
  @Test func targetAndLossMatchPyTorch() throws {
    let fixture = try FixtureFile("patches.h5", of: "OperationsTests")
    let images = try fixture.tensor("images")
    let masked = try fixture.integers("masked").map { Int32($0) }
    let plain = patchPixels(images, patchSize: 4, patches: masked, normalized: false)
    #expect(plain.shape == [6, 48])
    #expect(try plain.elements == fixture.tensor("plain").elements)
    let target = patchPixels(images, patchSize: 4, patches: masked, normalized: true)
    #expect(relativeError(target, try fixture.tensor("normalized")) < 1e-5)
    // The last patch has no contrast: its target is nothing.
    #expect(target.elements.suffix(48).allSatisfy { abs($0) < 1e-3 })

    let scope = ParameterScope(seed: 0)
    let weight = scope.parameter("weight", [48, 10], .zeros, role: .weight)
    let bias = scope.parameter("bias", [48], .zeros, role: .bias)
    weight.set(try fixture.tensor("weight"))
    bias.set(try fixture.tensor("bias"))
    let tape = Tape()
    let tokens = tape.leaf(try fixture.tensor("tokens"))
    let loss = meanSquaredError(linear(tokens, weight, biases: [BiasSlice(bias)]), target)
    #expect(relativeError(loss, try fixture.tensor("loss")) < 1e-5)
    tape.backward(from: loss)
    #expect(relativeError(tokens.gradient, try fixture.tensor("dtokens")) < 1e-5)
    #expect(relativeError(weight.gradient, try fixture.tensor("dweight")) < 1e-5)
    #expect(relativeError(bias.gradient, try fixture.tensor("dbias")) < 1e-5)
  }
}

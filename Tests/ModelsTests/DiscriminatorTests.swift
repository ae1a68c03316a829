import ImageOperations
import Layers
import Models
import Operations
import Tensors
import TestSupport
import Testing

/// VQGAN's adversarial loss, against PyTorch.
@Suite struct DiscriminatorTests {
  init() { useSeveralThreads() }

  private func discriminator(_ fixture: FixtureFile) throws -> PatchDiscriminator {
    var configuration = PatchDiscriminatorConfiguration()
    configuration.baseWidth = 4
    let result = PatchDiscriminator(configuration, in: ParameterScope(seed: 0))
    #expect(Set(result.parameters.map(\.name)) == Set(try fixture["parameters"].names()))
    for parameter in result.parameters { parameter.set(try fixture["parameters"].tensor(parameter.name)) }
    return result
  }

  @Test func scoresAndHingeLossMatchPyTorch() throws {
    let fixture = try FixtureFile("discriminator.h5")
    let discriminator = try discriminator(fixture)
    let (real, fake) = (try fixture.tensor("real"), try fixture.tensor("fake"))
    #expect(relativeError(discriminator(real), try fixture.tensor("scores/real")) < 1e-5)
    #expect(relativeError(discriminator(fake), try fixture.tensor("scores/fake")) < 1e-5)
    #expect(discriminator(real).shape == [2, 2, 2, 1])
    #expect(PatchDiscriminatorConfiguration().scores(ofSide: 32) == 2)
    let tape = Tape()
    let loss = discriminator.loss(real: tape.constant(real), fake: tape.constant(fake))
    #expect(relativeError(loss, try fixture.tensor("loss")) < 1e-5)
    tape.backward(from: loss)
    for parameter in discriminator.parameters {
      let expected = try fixture["gradients"].tensor(parameter.name)
      #expect(relativeError(parameter.gradient, expected) < 5e-5, "\(parameter.name)")
    }
    // An image's scores do not depend on its company.
    let size = 32 * 32 * 3
    let alone = discriminator(real.view(at: size, shape: [1, 32, 32, 3]))
    #expect(alone.elements == Array(discriminator(real).elements[4...]))
  }

  @Test func adaptiveWeightAndGradientsMatchPyTorch() throws {
    let fixture = try FixtureFile("discriminator.h5")
    let discriminator = try discriminator(fixture)
    let last = Convolution2d(5, 3, kernel: 3, padding: 1, in: ParameterScope(seed: 0))
    last.weight.set(try fixture.tensor("last/weight"))
    try #require(last.bias).set(try fixture.tensor("last/bias"))
    let real = try fixture.tensor("real")
    let tape = Tape()
    let features = tape.leaf(try fixture.tensor("features"))
    let fake = last(features)
    #expect(relativeError(fake, try fixture.tensor("fake")) < 1e-5)
    let output = AdversarialLoss()(
      fake, lastLayer: last, features: features, discriminator: discriminator,
      reconstructionLoss: { l1Loss($0, real) })
    #expect(relativeError(Tensor(output.adversarial), try fixture.tensor("generator/adversarial")) < 1e-5)
    #expect(relativeError(Tensor(output.weight), try fixture.tensor("generator/weight")) < 1e-5)
    #expect(relativeError(output.total, try fixture.tensor("generator/total")) < 1e-5)
    tape.backward(from: output.total)
    #expect(relativeError(features.gradient, try fixture.tensor("generator/dfeatures")) < 2e-5)
    #expect(
      relativeError(
        last.weight.gradient?.elements ?? [], try fixture.tensor("generator/dlast").elements) < 2e-5)
    // The generator's step leaves the discriminator alone.
    for parameter in discriminator.parameters {
      #expect(parameter.gradient?.elements.allSatisfy { $0 == 0 } ?? false, "\(parameter.name)")
    }
  }

  @Test func operationsAreTheirSlopes() {
    let x = Tensor(
      randomTensor([3, 7], seed: 1).elements.map { $0 + ($0 < 0 ? -0.2 : 0.2) }, shape: [3, 7])
    #expect(gradientError(of: [x]) { leakyReLU($0[0]) } < 1e-2)
    #expect(leakyReLU(Tensor([-2, 0, 3], shape: [3])).elements == [-0.4, 0, 3])
    #expect(gradientError(of: [x]) { mean($0[0]) } < 1e-2)
    for side in [HingeSide.real, .fake] {
      let scores = Tensor([-3, -0.5, 0.4, 2.5], shape: [4])
      #expect(gradientError(of: [scores], step: 1e-3) { hingeLoss($0[0], side) } < 1e-2)
    }
    #expect(hingeLoss(Tensor([-3, 0, 2], shape: [3]), .real).item == 5.0 / 3)
    #expect(hingeLoss(Tensor([-3, 0, 2], shape: [3]), .fake).item == 4.0 / 3)
    #expect(hingeLoss(Tensor([.nan], shape: [1]), .real).item.isNaN)
  }
}

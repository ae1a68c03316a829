import Models
import Tensors
import Terminal
import Trainer

/// The adversarial loss of a tokenizer (PeCo's studied extra; Esser et al., 2012.09841): the discriminator, and what it
/// makes of reconstructions. Both models are stepped on the same reconstructions.
final class Adversary: Opponent {
  /// How many values `takeSums` gives.
  static let sumCount = 4

  private let settings: TokenizerConfiguration.Adversarial
  private let discriminator: PatchDiscriminator
  private let generatorLoss: AdversarialLoss
  /// The micro-batch whose loss was computed last.
  private var pending: (real: Tensor, fake: Tensor)?
  private var sums = [Double](repeating: 0, count: sumCount)

  /// Nil where the configuration has no discriminator.
  init?(_ configuration: TokenizerConfiguration) {
    settings = configuration.adversarial
    guard settings.discriminator == .patch else { return nil }
    var size = PatchDiscriminatorConfiguration()
    (size.baseWidth, size.layers) = (settings.baseWidth, settings.layers)
    discriminator = PatchDiscriminator(size, in: ParameterScope(seed: configuration.shared.seed))
    generatorLoss = AdversarialLoss(weight: Float(settings.weight))
  }

  var parameters: [Parameter] { discriminator.parameters }
  var learningRateScale: Double { settings.learningRateScale }

  func isActive(inStep step: Int) -> Bool { step >= settings.startStep }

  /// The reconstruction loss and the adversarial one of what a tokenizer drew, a scalar.
  func loss(
    of output: VQVAE.Output, drawnBy model: VQVAE, images: Tensor, reconstructionLoss: (Tensor) -> Tensor
  ) -> Tensor {
    let result = generatorLoss(
      output.reconstruction, lastLayer: model.lastLayer, features: output.features,
      discriminator: discriminator, reconstructionLoss: reconstructionLoss)
    pending = (images.detached, output.reconstruction.detached)
    let count = Double(images.shape[0])
    sums[0] += count * Double(result.adversarial)
    sums[1] += count * Double(result.weight)
    sums[3] += count
    return result.total
  }

  func loss(on tape: Tape) throws -> Tensor {
    guard let (real, fake) = pending else {
      throw RunError("the discriminator was asked for its loss before there were reconstructions")
    }
    pending = nil
    let loss = discriminator.loss(real: tape.constant(real), fake: tape.constant(fake))
    sums[2] += Double(real.shape[0]) * Double(loss.item)
    return loss
  }

  /// What was gathered since the last call, to be summed over ranks.
  func takeSums() -> [Double] {
    defer { sums = [Double](repeating: 0, count: Self.sumCount) }
    return sums
  }

  /// What the sums over all ranks tell; nothing of a step in which it took no part.
  func measures(of sums: [Double]) -> [(name: String, value: Double)] {
    guard sums[3] > 0 else { return [] }
    return [
      ("adversarial_loss", sums[0] / sums[3]), ("adversarial_weight", sums[1] / sums[3]),
      ("discriminator_loss", sums[2] / sums[3]),
    ]
  }
}

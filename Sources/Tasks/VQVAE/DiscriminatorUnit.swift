import Datasets
import Models
import Tensors
import Terminal
import Trainer

/// The discriminator of a tokenizer, a unit with an optimizer of its own, and the adversarial loss that it gives the
/// tokenizer (PeCo's studied extra; Esser et al., 2012.09841). Both are stepped on the same reconstructions.
final class DiscriminatorUnit: OptimizedUnit {
  /// The metrics that the adversarial loss adds to.
  static let metrics = ["adversarial_loss", "adversarial_weight"]

  let name = "discriminator"
  private let settings: VQVAEFamily.Adversarial
  private let discriminator: PatchDiscriminator
  private let adversarialLoss: AdversarialLoss
  /// The micro-batch whose loss was computed last.
  private var pending: (real: Tensor, fake: Tensor)?

  /// Nil where the configuration has no discriminator.
  init?(_ settings: VQVAEFamily.Adversarial, seed: UInt64) {
    self.settings = settings
    guard settings.discriminator == .patch else { return nil }
    var size = PatchDiscriminatorConfiguration()
    (size.baseWidth, size.layers) = (settings.baseWidth, settings.layers)
    discriminator = PatchDiscriminator(size, in: ParameterScope(seed: seed))
    adversarialLoss = AdversarialLoss(weight: Float(settings.weight))
  }

  var parameters: [Parameter] { discriminator.parameters }

  func isActive(inStep step: Int) -> Bool { step >= settings.startStep }

  func learningRateScale(of parameter: Parameter) -> Double { settings.learningRateScale }

  /// The reconstruction loss and the adversarial one of a tokenizer's output.
  func generatorLoss(
    of output: VQVAE.Output, drawnBy model: VQVAE, images: Tensor, reconstructionLoss: (Tensor) -> Tensor
  ) -> AdversarialLoss.Output {
    pending = (images.detached, output.reconstruction.detached)
    return adversarialLoss(
      output.reconstruction, lastLayer: model.lastLayer, features: output.features,
      discriminator: discriminator, reconstructionLoss: reconstructionLoss)
  }

  func loss(of batch: Batch, on tape: Tape?, mode: Mode) throws -> Loss {
    guard let (real, fake) = pending else {
      throw RunError("the discriminator was asked for its loss before there were reconstructions")
    }
    pending = nil
    let loss = discriminator.loss(
      real: tape?.constant(real) ?? real, fake: tape?.constant(fake) ?? fake)
    return Loss(mean: loss, weight: Double(real.shape[0]))
  }
}

import Foundation
import Layers
import Operations
import Tensors

/// The generator's side of VQGAN's adversarial loss (Esser et al., 2012.09841, section 3.1): reconstructions should
/// score as images do, by as much as leaves the pull of both losses on the last layer alike (equation 7).
public struct AdversarialLoss {
  /// A loss with what went into it.
  public struct Output {
    /// The reconstruction loss and the weighted adversarial one, a scalar.
    public let total: Tensor
    /// The adversarial loss without its weights, −mean of the scores.
    public let adversarial: Float
    /// λ · weight, by which it counts.
    public let weight: Float
  }

  /// Multiplies λ.
  public let weight: Float

  /// - Parameter weight: Multiplies λ; VQGAN's published configurations have 0.8.
  public init(weight: Float = 0.8) { self.weight = weight }

  /// Adds the adversarial loss to that of a reconstruction.
  ///
  /// λ = ‖∇ reconstruction loss‖ / (‖∇ adversarial loss‖ + 10⁻⁴), gradients with respect to the weight of the last
  /// layer, at most 10⁴. It is worked out from this batch alone, as the published code does on every GPU.
  ///
  /// - Parameters:
  ///   - reconstruction: What the last layer gave for `features`, [batch, height, width, 3].
  ///   - lastLayer: What made the reconstruction.
  ///   - features: The last layer's input.
  ///   - discriminator: What scores it; its parameters are held.
  ///   - reconstructionLoss: The other loss of a reconstruction, a scalar.
  public func callAsFunction(
    _ reconstruction: Tensor, lastLayer: Convolution2d, features: Tensor, discriminator: PatchDiscriminator,
    reconstructionLoss: (Tensor) -> Tensor
  ) -> Output {
    let plain = gradient(at: reconstruction, of: reconstructionLoss)
    let held = discriminator.held
    let adversarial = gradient(at: reconstruction) { scale(mean(held($0)), -1) }
    func pull(_ gradient: Tensor) -> Double {
      length(lastLayer.weightGradient(gradient, features.detached))
    }
    let lambda = min(max(pull(plain.gradient) / (pull(adversarial.gradient) + 1e-4), 0), 1e4)
    let factor = weight * Float(lambda)
    let total = Tensor(plain.value + factor * adversarial.value)
    Tape.record(total, from: [reconstruction]) { dy in
      let both = add(plain.gradient, scale(adversarial.gradient, factor))
      reconstruction.addGradient(scale(both, dy.item))
    }
    return Output(total: total, adversarial: adversarial.value, weight: factor)
  }

  /// A loss of the reconstruction and its gradient, apart from the tape that the reconstruction lies on.
  private func gradient(
    at reconstruction: Tensor, of loss: (Tensor) -> Tensor
  ) -> (value: Float, gradient: Tensor) {
    let tape = Tape()
    let leaf = tape.leaf(reconstruction.detached)
    let value = loss(leaf)
    tape.backward(from: value)
    return (value.item, leaf.gradient ?? Tensor(reconstruction.shape))
  }

  private func length(_ x: Tensor) -> Double {
    x.elements.reduce(0.0) { $0 + Double($1) * Double($1) }.squareRoot()
  }
}

import Foundation
import Layers
import Models
import Tensors

/// How far a tokenizer's reconstructions are from their images: by pixels, and by the features of a perceptual
/// network (PeCo, equations 3 and 4).
struct ReconstructionLoss {
  /// How many values `takeSums` gives.
  static let sumCount = 4

  private let settings: TokenizerConfiguration.Loss
  private let perceptual: (any PerceptualNetwork)?
  private var sums = [Double](repeating: 0, count: sumCount)

  /// - Parameter perceptual: The network whose features are compared; nil for a loss on pixels alone.
  init(_ settings: TokenizerConfiguration.Loss, perceptual: (any PerceptualNetwork)?) {
    self.settings = settings
    self.perceptual = perceptual
  }

  /// The terms of the loss with their weights, means over the batch.
  ///
  /// - Parameter pixel: The pixels' loss where it is not a difference: that of the likelihood.
  mutating func callAsFunction(
    _ reconstruction: Tensor, _ images: Tensor, likelihood: (() -> Tensor)? = nil
  ) -> [(weight: Float, loss: Tensor)] {
    let pixel =
      switch settings.pixel {
      case .l1: l1Loss(reconstruction, images)
      case .l2: meanSquaredError(reconstruction, images)
      case .logitLaplace: likelihood?() ?? meanSquaredError(reconstruction, images)
      }
    var terms = [(weight: Float(settings.pixelWeight), loss: pixel)]
    let count = Double(images.shape[0])
    if let perceptual {
      let distance = perceptualLoss(perceptual, reconstruction, images)
      terms.append((Float(settings.perceptualWeight), distance))
      sums[1] += count * Double(distance.item)
    }
    let squaredError =
      settings.pixel == .l2 ? pixel : meanSquaredError(reconstruction.detached, images.detached)
    sums[0] += count * Double(pixel.item)
    sums[2] += count * Double(squaredError.item)
    sums[3] += count
    return terms
  }

  /// What was gathered since the last call, to be summed over ranks.
  mutating func takeSums() -> [Double] {
    defer { sums = [Double](repeating: 0, count: Self.sumCount) }
    return sums
  }

  /// What the sums over all ranks, which begin with those of `takeSums`, tell.
  func measures(
    of sums: [Double]
  ) -> (images: Double, psnr: Double, losses: [(name: String, value: Double)]) {
    let images = max(sums[3], 1)
    var losses = [(name: "pixel_loss", value: sums[0] / images)]
    if perceptual != nil { losses.append(("perceptual_loss", sums[1] / images)) }
    // Pixels run from -1 to 1: the peak is 2.
    return (images, 10 * log10(4 / max(sums[2] / images, 1e-12)), losses)
  }
}

import Foundation
import Models
import Operations
import Tensors
import Trainer

/// How far a tokenizer's reconstructions are from their images: by pixels, and by the features of a perceptual
/// network (PeCo, equations 3 and 4).
package struct ReconstructionLoss {
  /// The metrics it adds to.
  package static let metrics = ["pixel_loss", "perceptual_loss", "squared_error"]

  private let settings: TokenizerSettings.Loss
  private let perceptual: (any PerceptualNetwork)?

  /// - Parameter perceptual: The network whose features are compared; nil for a loss on pixels alone.
  package init(_ settings: TokenizerSettings.Loss, perceptual: (any PerceptualNetwork)?) {
    self.settings = settings
    self.perceptual = perceptual
  }

  /// The terms of the loss with their weights, means over the batch.
  ///
  /// - Parameters:
  ///   - metrics: What it adds to.
  ///   - likelihood: The pixels' loss where it is not a difference: that of the likelihood.
  package func callAsFunction(
    _ reconstruction: Tensor, _ images: Tensor, addingTo metrics: inout MetricSums,
    likelihood: (() -> Tensor)? = nil
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
      metrics.add("perceptual_loss", mean: Double(distance.item), weight: count)
    }
    let squaredError =
      settings.pixel == .l2 ? pixel : meanSquaredError(reconstruction.detached, images.detached)
    metrics.add("pixel_loss", mean: Double(pixel.item), weight: count)
    metrics.add("squared_error", mean: Double(squaredError.item), weight: count)
    return terms
  }

  /// What the sums over all ranks say: the PSNR, and the losses.
  package func measures(of metrics: MetricSums) -> (psnr: Double, losses: [NamedValue]) {
    var losses: [NamedValue] = [("pixel_loss", metrics.mean("pixel_loss") ?? 0)]
    if perceptual != nil { losses.append(("perceptual_loss", metrics.mean("perceptual_loss") ?? 0)) }
    return (peakSignalToNoiseRatio(meanSquaredError: metrics.mean("squared_error") ?? 0), losses)
  }
}

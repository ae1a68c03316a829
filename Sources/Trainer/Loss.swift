import Tensors

/// The loss of a micro-batch: a mean, and the weight of what it is a mean over.
///
/// Micro-batches and ranks are summed before anything is divided. The loss of a step is Σ mean · weight / Σ weight over
/// all of them, and gradients follow it: a micro-batch with more valid pixels or positive boxes counts for more.
public struct Loss {
  /// The mean over what counts, a scalar on the tape; 0 where nothing counts.
  public let mean: Tensor
  /// How much counts: images, predicted patches, valid pixels.
  public let weight: Double

  /// A loss that is `mean` over `weight` of what counts.
  public init(mean: Tensor, weight: Double) {
    precondition(mean.count == 1, "a loss is a scalar, not of shape \(mean.shape)")
    self.mean = mean
    self.weight = weight
  }

  /// The sum over what counts.
  public var sum: Double { Double(mean.item) * weight }
}

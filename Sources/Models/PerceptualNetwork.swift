import Layers
import Tensors

/// A fixed network whose features tell how alike two pictures look.
public protocol PerceptualNetwork {
  /// Features at several depths of pictures [batch, height, width, 3] in [−1, 1]; each with channels last.
  func features(_ pictures: Tensor) -> [Tensor]
}

/// How the features of two pictures are compared at each depth.
public enum FeatureComparison: String, Sendable, Codable, CaseIterable {
  /// The mean squared difference over all elements (Dong et al., 2111.12710, equation 3).
  case meanSquared = "mean_squared"
  /// Each position's vector is divided by its length first, and squared differences are summed over channels, as
  /// LPIPS does (Zhang et al., 1801.03924) with all channels of equal weight.
  case unitChannels = "unit_channels"
}

/// The perceptual loss, a scalar: how much the features of a reconstruction differ from those of its target, added
/// up over the depths of `network`. Gradients flow to the reconstruction alone.
public func perceptualLoss(
  _ network: some PerceptualNetwork, _ reconstruction: Tensor, _ target: Tensor,
  comparison: FeatureComparison = .meanSquared
) -> Tensor {
  // The target goes first and off the tape, so that what it needs on the way is free again at once.
  let wanted = network.features(target.detached)
  let found = network.features(reconstruction)
  return weightedSum(
    zip(found, wanted).map { found, wanted in
      switch comparison {
      case .meanSquared: return (1, meanSquaredError(found, wanted))
      case .unitChannels:
        return (Float(found.shape.last ?? 1), meanSquaredError(unitChannels(found), unitChannels(wanted)))
      }
    })
}

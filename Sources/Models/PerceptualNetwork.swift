import Layers
import Operations
import Tensors

/// A fixed network whose features tell how alike two images look.
public protocol PerceptualNetwork {
  /// Features at several depths of images [batch, height, width, 3] in [−1, 1]; each with channels last.
  func features(_ images: Tensor) -> [Tensor]
}

/// How the features of two images are compared at each depth.
public enum FeatureComparison: String, Sendable, Codable, CaseIterable {
  /// The mean squared difference over all elements (Dong et al., 2111.12710, equation 3).
  case meanSquared = "mean_squared"
  /// Each position's vector is divided by its length first, and squared differences are summed over channels; see
  /// `UnitChannelNetwork`.
  case unitChannels = "unit_channels"
}

/// How much the features of a reconstruction differ from those of its target at each depth of `network`: the mean
/// squared difference, a scalar each (Dong et al., 2111.12710, equation 3). Gradients flow to the reconstruction alone.
public func perceptualDistances(
  _ network: some PerceptualNetwork, _ reconstruction: Tensor, _ target: Tensor
) -> [Tensor] {
  // The target goes first and off the tape, so that what it needs on the way is free again at once.
  let wanted = network.features(target.detached)
  let found = network.features(reconstruction)
  return zip(found, wanted).map { meanSquaredError($0, $1) }
}

/// The perceptual loss, a scalar: the distances at all depths of `network`, added up.
public func perceptualLoss(
  _ network: some PerceptualNetwork, _ reconstruction: Tensor, _ target: Tensor
) -> Tensor {
  weightedSum(perceptualDistances(network, reconstruction, target).map { (1, $0) })
}

/// A network whose features are compared as LPIPS does (Zhang et al., 1801.03924, equation 1): each position's vector
/// is divided by its length, and squared differences are summed over channels, each with its own weight if there are
/// any.
///
/// Its features are scaled so that the plain perceptual loss, the mean squared difference, is LPIPS's distance.
public struct UnitChannelNetwork: PerceptualNetwork {
  private let network: any PerceptualNetwork
  private let channelWeights: [[Float]]?

  /// Compares the features of `network`.
  ///
  /// - Parameters:
  ///   - network: What gives the features.
  ///   - channelWeights: For each depth the weight of each channel, none below 0; nil for 1.
  public init(_ network: any PerceptualNetwork, channelWeights: [[Float]]? = nil) {
    precondition(
      channelWeights?.allSatisfy { $0.allSatisfy { $0 >= 0 } } ?? true, "channel weights below 0")
    self.network = network
    self.channelWeights = channelWeights
  }

  public func features(_ images: Tensor) -> [Tensor] {
    network.features(images).enumerated().map { depth, features in
      let channels = features.shape.last ?? 1
      let weights = channelWeights?[depth] ?? [Float](repeating: 1, count: channels)
      let scales = weights.map { (Float(channels) * $0).squareRoot() }
      let map = ChannelAffine(scale: scales, offset: [Float](repeating: 0, count: channels))
      return map(unitChannels(features))
    }
  }
}

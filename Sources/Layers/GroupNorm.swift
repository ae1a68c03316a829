import ImageOperations
import Operations
import Tensors

/// Group normalization over images with channels last (Wu and He, "Group Normalization", 2018), optionally
/// followed by SiLU in the same pass.
public struct GroupNorm {
  /// Factor of each channel, [channels].
  public let weight: Parameter
  /// Offset of each channel, [channels].
  public let bias: Parameter
  /// Number of groups the channels are cut into.
  public let groups: Int
  /// Added to the variance.
  public let epsilon: Float

  /// A normalization of `channels` in `groups` equal parts.
  public init(groups: Int, channels: Int, epsilon: Float = 1e-6, in scope: ParameterScope) {
    precondition(channels % groups == 0, "\(channels) channels cannot be cut into \(groups) groups")
    weight = scope.parameter("weight", [channels], .ones, role: .norm)
    bias = scope.parameter("bias", [channels], .zeros, role: .norm)
    self.groups = groups
    self.epsilon = epsilon
  }

  private init(holding other: GroupNorm) {
    (weight, bias) = (other.weight.held, other.bias.held)
    (groups, epsilon) = (other.groups, other.epsilon)
  }

  /// The same normalization, its parameters held: gradients flow through to the input and not into the parameters.
  public var held: GroupNorm { GroupNorm(holding: self) }

  /// [batch, height, width, channels], or in blocks of channels, each group of channels of each image to mean 0
  /// and variance 1, then scaled and shifted by channel.
  public func callAsFunction(_ x: Tensor) -> Tensor { normalized(x, silu: false) }

  /// The normalization followed by SiLU.
  public func withSiLU(_ x: Tensor) -> Tensor { normalized(x, silu: true) }

  private func normalized(_ x: Tensor, silu: Bool) -> Tensor {
    groupNorm(x, groups: groups, weight: weight, bias: bias, epsilon: epsilon, silu: silu)
  }
}

import ImageOperations
import Operations
import Tensors

/// The self-attention block of VQGAN (Esser et al., 2012.09841): group normalization, one head in which every
/// pixel attends to every other, a projection, and the input added back.
public struct SpatialAttention {
  private let norm: GroupNorm
  private let query, key, value, projection: Convolution2d

  /// A block on images of `channels`; its parameters are `norm`, `q`, `k`, `v` and `proj_out`.
  public init(channels: Int, groups: Int, in scope: ParameterScope) {
    norm = GroupNorm(groups: groups, channels: channels, in: scope / "norm")
    query = Convolution2d(channels, channels, kernel: 1, in: scope / "q")
    key = Convolution2d(channels, channels, kernel: 1, in: scope / "k")
    value = Convolution2d(channels, channels, kernel: 1, in: scope / "v")
    projection = Convolution2d(channels, channels, kernel: 1, in: scope / "proj_out")
  }

  /// [batch, height, width, channels], or in blocks of channels, of the same shape. Time and memory grow with
  /// (height · width)².
  public func callAsFunction(_ x: Tensor) -> Tensor {
    let normalized = channelsLast(norm(x))
    let attended = singleHeadAttention(
      query: query(normalized), key: key(normalized), value: value(normalized))
    let y = projection.narrow(attended)
    return add(x, isChannelBlocked(x) ? channelBlocked(y) : y)
  }
}

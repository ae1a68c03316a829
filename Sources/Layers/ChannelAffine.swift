import ImageOperations
import Operations
import Tensors

/// A fixed factor and offset for each channel, such as between the ranges two networks expect images in.
public struct ChannelAffine {
  private let scale: Tensor
  private let offset: Tensor

  /// y[..., c] = x[..., c] · scale[c] + offset[c].
  public init(scale: [Float], offset: [Float]) {
    precondition(scale.count == offset.count, "as many factors as offsets")
    self.scale = Tensor(scale, shape: [scale.count])
    self.offset = Tensor(offset, shape: [offset.count])
  }

  /// From images in [−1, 1] to images whose [0, 1] values are normalized by mean and standard deviation.
  public static func normalization(mean: [Float], deviation: [Float]) -> ChannelAffine {
    ChannelAffine(
      scale: deviation.map { 0.5 / $0 }, offset: zip(mean, deviation).map { (0.5 - $0) / $1 })
  }

  /// From images in [−1, 1] to what networks that torchvision trained on ImageNet expect.
  public static var imageNetNormalization: ChannelAffine {
    normalization(mean: [0.485, 0.456, 0.406], deviation: [0.229, 0.224, 0.225])
  }

  /// [..., channels], of the same shape.
  public func callAsFunction(_ x: Tensor) -> Tensor { channelAffine(x, scale: scale, offset: offset) }
}

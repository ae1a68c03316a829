import Foundation
import Layers
import Operations

/// What the channels of images are normalized by, on a scale of 0 to 1.
public struct ImageNormalization: Codable, Equatable, Sendable {
  public var mean: [Double]
  public var standardDeviation: [Double]

  private enum CodingKeys: String, CodingKey {
    case mean
    case standardDeviation = "std"
  }

  /// ImageNet's, for what says nothing else.
  public static let imageNet = ImageNormalization(
    mean: [0.485, 0.456, 0.406], standardDeviation: [0.229, 0.224, 0.225])

  public init(mean: [Double], standardDeviation: [Double]) {
    self.mean = mean
    self.standardDeviation = standardDeviation
  }

  /// Both in words.
  public var summary: String { "images normalized by \(mean) and \(standardDeviation)" }

  /// The same for images in [−1, 1].
  public var affine: ChannelAffine {
    .normalization(mean: mean.map { Float($0) }, deviation: standardDeviation.map { Float($0) })
  }
}

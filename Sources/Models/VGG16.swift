import Foundation
import ImageOperations
import Layers
import Tensors

/// The convolutional part of VGG-16 (Simonyan and Zisserman, 1409.1556) as torchvision lays it out, for
/// perceptual losses.
///
/// Give it a frozen scope: the weights are neither trained nor saved with the model. Fill them from a file, or
/// leave them random: features of a random network already compare more than pixels do.
public struct VGG16: PerceptualNetwork {
  /// A place in the network where features are read: after the last ReLU of each of the five stages.
  public enum Tap: String, Sendable, Codable, CaseIterable {
    case stage1 = "relu1_2"
    case stage2 = "relu2_2"
    case stage3 = "relu3_3"
    case stage4 = "relu4_3"
    case stage5 = "relu5_3"
  }

  /// Channels of each stage.
  public static let stageChannels = [64, 128, 256, 512, 512]
  /// Convolutions of each stage.
  private static let depths = [2, 2, 3, 3, 3]

  /// The weights, `features.0.weight` and so on, in order.
  public let parameters: [Parameter]
  private let stages: [[Convolution2d]]
  private let taps: Set<Tap>
  /// Whether the convolutions after the first work on blocks of channels.
  private let isBlocked: Bool
  private let normalization = ChannelAffine.imageNetNormalization

  /// A network read at `taps`; stages behind the last tap are left out. Weights start as He et al. (1502.01852)
  /// draw them.
  ///
  /// - Parameters:
  ///   - taps: Where it is read.
  ///   - widthDivisor: All widths are divided by this, for tests and small machines.
  ///   - scope: Where the parameters are made.
  public init(taps: Set<Tap> = Set(Tap.allCases), widthDivisor: Int = 1, in scope: ParameterScope) {
    let depth = Tap.allCases.lastIndex { taps.contains($0) }.map { $0 + 1 } ?? 0
    let scope = scope / "features"
    var (channels, index) = (3, 0)
    stages = zip(Self.stageChannels, Self.depths).prefix(depth).map { width, count in
      let stage = (0..<count).map { _ in
        let out = max(1, width / widthDivisor)
        let deviation = (2 / Float(channels * 9)).squareRoot()
        let convolution = Convolution2d(
          channels, out, kernel: 3, padding: 1, in: scope / index, initializer: .normal(deviation))
        channels = out
        index += 2  // the convolution and its ReLU
        return convolution
      }
      index += 1  // the pooling
      return stage
    }
    self.taps = taps
    isBlocked = prefersChannelBlocks(Self.stageChannels.map { max(1, $0 / widthDivisor) })
    parameters = stages.joined().flatMap { [$0.weight] + ($0.bias.map { [$0] } ?? []) }
  }

  /// The features at the taps, in the order of depth.
  public func features(_ images: Tensor) -> [Tensor] {
    var h = normalization(images)
    var result: [Tensor] = []
    for (index, stage) in stages.enumerated() {
      if index > 0 { h = maxPool2x2(h) }
      for convolution in stage {
        h = convolution.withReLU(h)
        if isBlocked { h = channelBlocked(h) }
      }
      if taps.contains(Tap.allCases[index]) { result.append(channelsLast(h)) }
    }
    return result
  }
}

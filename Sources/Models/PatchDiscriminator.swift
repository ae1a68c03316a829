import ImageOperations
import Layers
import Operations
import Tensors

/// The size of a `PatchDiscriminator`.
public struct PatchDiscriminatorConfiguration: Sendable, Equatable {
  /// Channels after the first convolution.
  public var baseWidth = 64
  /// Convolutions that halve height and width; each but the first doubles the channels, up to eight times the first's.
  public var layers = 3

  /// VQGAN's.
  public init() {}

  /// Scores along each side of images of a size.
  public func scores(ofSide side: Int) -> Int { (side >> layers) - 2 }
}

/// The discriminator of pix2pix (Isola et al., 1611.07004) and VQGAN (Esser et al., 2012.09841), which scores
/// overlapping patches: convolutions of 4 × 4 with LeakyReLU, with the names of VQGAN's published code.
///
/// Group normalization stands in place of batch normalization. Statistics over the batch would make an image's score
/// depend on its company in the micro-batch and on the rank: no longer one result, whatever the split.
public struct PatchDiscriminator {
  /// The parameters, in the order of forward.
  public let parameters: [Parameter]
  private let first: Convolution2d
  private let blocks: [(convolution: Convolution2d, norm: GroupNorm)]
  private let last: Convolution2d

  /// A discriminator whose parameters are made in `scope`.
  public init(_ configuration: PatchDiscriminatorConfiguration, in scope: ParameterScope) {
    let main = scope / "main"
    let initial = Initializer.normal(0.02)
    var channels = configuration.baseWidth
    first = Convolution2d(
      3, channels, kernel: 4, stride: 2, padding: 1, in: main / 0, initializer: initial)
    var index = 2  // the convolution and its LeakyReLU
    blocks = (1...max(configuration.layers, 1)).map { number in
      let width = configuration.baseWidth * min(1 << number, 8)
      // The norm takes away what a bias would add.
      let convolution = Convolution2d(
        channels, width, kernel: 4, stride: number < configuration.layers ? 2 : 1, padding: 1, bias: false,
        in: main / index, initializer: initial)
      let norm = GroupNorm(groups: greatestCommonDivisor(32, width), channels: width, in: main / (index + 1))
      channels = width
      index += 3
      return (convolution, norm)
    }
    last = Convolution2d(channels, 1, kernel: 4, padding: 1, in: main / index, initializer: initial)
    parameters = scope.parameters
  }

  private init(holding other: PatchDiscriminator) {
    parameters = []
    first = other.first.held
    blocks = other.blocks.map { ($0.convolution.held, $0.norm.held) }
    last = other.last.held
  }

  /// The same discriminator, its weights held: gradients flow through to the images and not into the weights.
  public var held: PatchDiscriminator { PatchDiscriminator(holding: self) }

  /// Scores of overlapping patches, [batch, rows, columns, 1], of images [batch, height, width, 3] in [−1, 1].
  public func callAsFunction(_ images: Tensor) -> Tensor {
    var h = leakyReLU(first(images))
    for block in blocks { h = leakyReLU(block.norm(block.convolution(h))) }
    return last(h)
  }

  /// The discriminator's loss: the hinge losses of real images and of reconstructions, half of each.
  public func loss(real: Tensor, fake: Tensor) -> Tensor {
    weightedSum([(0.5, hingeLoss(self(real), .real)), (0.5, hingeLoss(self(fake), .fake))])
  }
}

private func greatestCommonDivisor(_ a: Int, _ b: Int) -> Int { b == 0 ? a : greatestCommonDivisor(b, a % b) }

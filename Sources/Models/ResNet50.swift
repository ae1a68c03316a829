import ImageOperations
import Layers
import Operations
import Tensors

/// ResNet-50 (He et al., 1512.03385) as torchvision has it, where a block's second convolution has the stride, read
/// after each of its four stages (`layer1` to `layer4`) for perceptual losses.
///
/// Batch normalization is that of inference, an affine map of each channel, and folded into the convolution before it.
public struct ResNet50: PerceptualNetwork {
  /// Blocks of each stage.
  static let depths = [3, 4, 6, 3]
  /// Channels after each stage.
  public static let stageChannels = depths.indices.map { 256 << $0 }

  private let stem: FoldedConvolution
  private let stages: [[Bottleneck]]
  private let taps: Set<Int>
  private let normalization: ChannelAffine
  /// Whether what follows the stem works on blocks of channels.
  private let isBlocked: Bool

  /// The network of some weights, read after the stages `taps` (1 to 4); those behind the last are left out.
  ///
  /// - Parameters:
  ///   - weights: Of the network; they stay as they are.
  ///   - taps: The stages, 1 to 4.
  ///   - normalization: Takes images from [−1, 1] to what the network was trained on.
  public init(
    _ weights: ResNet50Weights, taps: Set<Int> = [1, 2, 3, 4],
    normalization: ChannelAffine = .imageNetNormalization
  ) {
    stem = FoldedConvolution(weights.stem, stride: 2, padding: 3)
    stages = weights.stages.prefix(taps.max() ?? 0).enumerated().map { number, blocks in
      blocks.enumerated().map { place, block in
        Bottleneck(block, stride: number > 0 && place == 0 ? 2 : 1)
      }
    }
    self.taps = taps
    self.normalization = normalization
    isBlocked = prefersChannelBlocks(weights.widths)
  }

  /// The features after the stages, in the order of depth.
  public func features(_ images: Tensor) -> [Tensor] {
    var h = stem(normalization(images), relu: true)
    if isBlocked { h = channelBlocked(h) }
    h = maxPool3x3(h)
    var result: [Tensor] = []
    for (index, stage) in stages.enumerated() {
      h = stage.reduce(h) { $1($0) }
      if taps.contains(index + 1) { result.append(channelsLast(h)) }
    }
    return result
  }
}

/// A residual block of three convolutions.
private struct Bottleneck {
  private let reduce: FoldedConvolution
  private let convolve: FoldedConvolution
  private let expand: FoldedConvolution
  private let shortcut: FoldedConvolution?

  init(_ weights: ResNet50Weights.Block, stride: Int) {
    reduce = FoldedConvolution(weights.convolutions[0], stride: 1, padding: 0)
    convolve = FoldedConvolution(weights.convolutions[1], stride: stride, padding: 1)
    expand = FoldedConvolution(weights.convolutions[2], stride: 1, padding: 0)
    shortcut = weights.shortcut.map { FoldedConvolution($0, stride: stride, padding: 0) }
  }

  func callAsFunction(_ x: Tensor) -> Tensor {
    let branch = expand(convolve(reduce(x, relu: true), relu: true), relu: false)
    return addReLU(branch, shortcut?(x, relu: false) ?? x)
  }
}

/// A convolution into which the normalization after it is folded.
private struct FoldedConvolution {
  private let weight: Parameter
  private let bias: Parameter
  private let stride: Int
  private let padding: Padding

  init(_ layer: ResNet50Weights.NormalizedConvolution, stride: Int, padding: Padding) {
    let channels = layer.weight.shape[0]
    let size = layer.weight.count / channels
    var kernels = layer.weight.value.elements
    let (scale, offset) = (layer.scale.value.elements, layer.offset.value.elements)
    let (mean, variance) = (layer.mean.value.elements, layer.variance.value.elements)
    let offsets = (0..<channels).map { channel in
      let factor = Double(scale[channel]) / (Double(variance[channel]) + 1e-5).squareRoot()
      for i in channel * size..<(channel + 1) * size { kernels[i] = Float(Double(kernels[i]) * factor) }
      return Float(Double(offset[channel]) - Double(mean[channel]) * factor)
    }
    weight = Parameter(
      name: layer.weight.name, kind: .frozen, role: .weight,
      value: Tensor(kernels, shape: layer.weight.shape))
    bias = Parameter(
      name: layer.offset.name, kind: .frozen, role: .bias, value: Tensor(offsets, shape: [channels]))
    self.stride = stride
    self.padding = padding
  }

  func callAsFunction(_ x: Tensor, relu: Bool) -> Tensor {
    convolution2d(x, weight: weight, bias: bias, stride: stride, padding: padding, relu: relu)
  }
}

/// The weights of a ResNet-50 under torchvision's names, to be filled from a file before a network is made of them.
public struct ResNet50Weights {
  /// A convolution without bias and the batch normalization after it.
  struct NormalizedConvolution {
    let weight: Parameter
    let scale: Parameter
    let offset: Parameter
    let mean: Parameter
    let variance: Parameter

    /// Starts as He et al. (1502.01852) draw kernels, with a normalization that changes nothing.
    init(_ inputs: Int, _ outputs: Int, kernel: Int, in scope: ParameterScope, _ names: (String, String)) {
      let deviation = (2 / Float(inputs * kernel * kernel)).squareRoot()
      weight = (scope / names.0).parameter(
        "weight", [outputs, inputs, kernel, kernel], .normal(deviation), role: .weight)
      let norm = scope / names.1
      scale = norm.parameter("weight", [outputs], .ones, role: .norm)
      offset = norm.parameter("bias", [outputs], .zeros, role: .norm)
      mean = norm.state("running_mean", [outputs], .zeros)
      variance = norm.state("running_var", [outputs], .ones)
    }
  }

  /// A residual block.
  struct Block {
    let convolutions: [NormalizedConvolution]
    let shortcut: NormalizedConvolution?
  }

  let stem: NormalizedConvolution
  let stages: [[Block]]
  /// Channels of every layer after the stem.
  let widths: [Int]

  /// Makes the weights in `scope`, which should be frozen: `conv1.weight`, `bn1.weight`, `layer1.0.conv1.weight`, ...
  ///
  /// - Parameters:
  ///   - count: How many of the four stages there are.
  ///   - widthDivisor: All widths are divided by this, for tests and small machines.
  ///   - scope: Where the parameters are made.
  public init(stages count: Int = 4, widthDivisor: Int = 1, in scope: ParameterScope) {
    func width(_ full: Int) -> Int { max(1, full / widthDivisor) }
    var channels = width(64)
    var widths = [channels]
    stem = NormalizedConvolution(3, channels, kernel: 7, in: scope, ("conv1", "bn1"))
    stages = ResNet50.depths.prefix(count).enumerated().map { number, depth in
      let inner = width(64 << number)
      let outer = inner * 4
      widths += [inner, outer]
      return (0..<depth).map { place in
        let scope = scope / "layer\(number + 1)" / place
        let inputs = channels
        channels = outer
        let plan = [(inputs, inner, 1), (inner, inner, 3), (inner, outer, 1)]
        let convolutions = plan.enumerated().map { index, layer in
          NormalizedConvolution(
            layer.0, layer.1, kernel: layer.2, in: scope, ("conv\(index + 1)", "bn\(index + 1)"))
        }
        return Block(
          convolutions: convolutions,
          shortcut: place == 0
            ? NormalizedConvolution(inputs, outer, kernel: 1, in: scope, ("downsample.0", "downsample.1"))
            : nil)
      }
    }
    self.widths = widths
  }
}

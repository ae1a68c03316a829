import ImageOperations
import Layers
import Tensors

/// The convolutional encoder of VQGAN (Esser et al., 2012.09841), from images to vectors on a grid.
struct VQVAEEncoder {
  /// Whether the levels work on blocks of channels.
  private let isBlocked: Bool
  private let input: Convolution2d
  private let levels: [(blocks: Level, downsample: Convolution2d?)]
  private let middle: MiddleBlocks
  private let norm: GroupNorm
  private let output: Convolution2d

  init(_ configuration: VQVAEConfiguration, in scope: ParameterScope) {
    let widths = configuration.channelMultipliers.map { $0 * configuration.baseWidth }
    let last = widths.count - 1
    isBlocked = prefersChannelBlocks(widths + [configuration.baseWidth])
    input = Convolution2d(3, configuration.baseWidth, kernel: 3, padding: 1, in: scope / "conv_in")
    levels = widths.indices.map { level in
      let scope = scope / "down" / level
      let blocks = Level(
        level == 0 ? configuration.baseWidth : widths[level - 1], widths[level],
        blocks: configuration.blocksPerLevel,
        attention: configuration.attentionAtSmallestLevel && level == last, configuration, in: scope)
      if level == last { return (blocks, nil) }
      // Padding on one side only, so that the grid of an even image halves exactly.
      let downsample = Convolution2d(
        widths[level], widths[level], kernel: 3, stride: 2,
        padding: Padding(top: 0, bottom: 1, left: 0, right: 1), in: scope / "downsample" / "conv")
      return (blocks, downsample)
    }
    middle = MiddleBlocks(widths[last], configuration, in: scope / "mid")
    norm = GroupNorm(
      groups: configuration.groups(for: widths[last]), channels: widths[last], in: scope / "norm_out")
    output = Convolution2d(
      widths[last], configuration.codebookDimension, kernel: 3, padding: 1, in: scope / "conv_out")
  }

  func callAsFunction(_ images: Tensor) -> Tensor {
    var h = input.narrow(images)
    if isBlocked { h = channelBlocked(h) }
    for level in levels {
      h = level.blocks(h)
      if let downsample = level.downsample { h = downsample.narrow(h) }
    }
    return output(channelsLast(norm.withSiLU(middle(h))))
  }
}

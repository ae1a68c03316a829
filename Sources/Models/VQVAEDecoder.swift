import ImageOperations
import Layers
import Tensors

/// The convolutional decoder of VQGAN (Esser et al., 2012.09841), from vectors on a grid to images.
struct VQVAEDecoder {
  /// Whether the levels work on blocks of channels.
  private let isBlocked: Bool
  private let input: Convolution2d
  private let middle: MiddleBlocks
  private let levels: [(blocks: Level, upsample: Convolution2d?)]
  private let norm: GroupNorm
  /// The last layer.
  let output: Convolution2d

  init(_ configuration: VQVAEConfiguration, in scope: ParameterScope) {
    let widths = configuration.channelMultipliers.map { $0 * configuration.baseWidth }
    let last = widths.count - 1
    isBlocked = prefersChannelBlocks(widths)
    input = Convolution2d(
      configuration.codebookDimension, widths[last], kernel: 3, padding: 1, in: scope / "conv_in")
    middle = MiddleBlocks(widths[last], configuration, in: scope / "mid")
    levels = widths.indices.reversed().map { level in
      let scope = scope / "up" / level
      let blocks = Level(
        level == last ? widths[last] : widths[level + 1], widths[level],
        blocks: configuration.blocksPerLevel + configuration.extraDecoderBlocks,
        attention: configuration.attentionAtSmallestLevel && level == last, configuration, in: scope)
      if level == 0 { return (blocks, nil) }
      let upsample = Convolution2d(
        widths[level], widths[level], kernel: 3, padding: 1, in: scope / "upsample" / "conv")
      return (blocks, upsample)
    }
    norm = GroupNorm(
      groups: configuration.groups(for: widths[0]), channels: widths[0], in: scope / "norm_out")
    output = Convolution2d(widths[0], 3, kernel: 3, padding: 1, in: scope / "conv_out")
  }

  /// What the last layer draws images from, [batch, height, width, base width].
  func features(_ z: Tensor) -> Tensor {
    var h = input.narrow(z)
    if isBlocked { h = channelBlocked(h) }
    h = middle(h)
    for level in levels {
      h = level.blocks(h)
      if let upsample = level.upsample { h = upsample.narrow(upsampleNearest(h)) }
    }
    return channelsLast(norm.withSiLU(h))
  }
}

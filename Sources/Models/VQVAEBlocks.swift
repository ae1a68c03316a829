import ImageOperations
import Layers
import Operations
import Tensors

/// Two convolutions with group normalization and SiLU before each, and the input added back; VQGAN's
/// `ResnetBlock`.
struct ResidualBlock {
  private let norm1, norm2: GroupNorm
  private let conv1, conv2: Convolution2d
  private let shortcut: Convolution2d?

  init(_ inChannels: Int, _ outChannels: Int, _ configuration: VQVAEConfiguration, in scope: ParameterScope) {
    norm1 = GroupNorm(
      groups: configuration.groups(for: inChannels), channels: inChannels, in: scope / "norm1")
    conv1 = Convolution2d(inChannels, outChannels, kernel: 3, padding: 1, in: scope / "conv1")
    norm2 = GroupNorm(
      groups: configuration.groups(for: outChannels), channels: outChannels, in: scope / "norm2")
    conv2 = Convolution2d(outChannels, outChannels, kernel: 3, padding: 1, in: scope / "conv2")
    shortcut =
      inChannels == outChannels
      ? nil : Convolution2d(inChannels, outChannels, kernel: 1, in: scope / "nin_shortcut")
  }

  func callAsFunction(_ x: Tensor) -> Tensor {
    let h = norm2.withSiLU(conv1.narrow(norm1.withSiLU(x)))
    return conv2.narrow(h, addedTo: shortcut?.narrow(x) ?? x)
  }
}

/// What lies between encoder levels and code on either side: block, attention, block.
struct MiddleBlocks {
  private let block1, block2: ResidualBlock
  private let attention: SpatialAttention

  init(_ channels: Int, _ configuration: VQVAEConfiguration, in scope: ParameterScope) {
    block1 = ResidualBlock(channels, channels, configuration, in: scope / "block_1")
    attention = SpatialAttention(
      channels: channels, groups: configuration.groups(for: channels), in: scope / "attn_1")
    block2 = ResidualBlock(channels, channels, configuration, in: scope / "block_2")
  }

  func callAsFunction(_ x: Tensor) -> Tensor { block2(attention(block1(x))) }
}

/// The residual blocks of one resolution of encoder or decoder, each followed by attention where there is any.
struct Level {
  private let blocks: [(residual: ResidualBlock, attention: SpatialAttention?)]

  init(
    _ inChannels: Int, _ outChannels: Int, blocks count: Int, attention: Bool,
    _ configuration: VQVAEConfiguration, in scope: ParameterScope
  ) {
    let groups = configuration.groups(for: outChannels)
    blocks = (0..<count).map { index in
      let residual = ResidualBlock(
        index == 0 ? inChannels : outChannels, outChannels, configuration, in: scope / "block" / index)
      let attention =
        attention ? SpatialAttention(channels: outChannels, groups: groups, in: scope / "attn" / index) : nil
      return (residual, attention)
    }
  }

  func callAsFunction(_ x: Tensor) -> Tensor {
    blocks.reduce(x) { x, block in
      let h = block.residual(x)
      return block.attention?(h) ?? h
    }
  }
}

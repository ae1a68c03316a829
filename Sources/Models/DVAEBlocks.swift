import ImageOperations
import Operations
import Tensors

/// A convolution that keeps height and width, with the names and the initial weights of DALL-E's published code:
/// `w` normal with variance 1 / fan-in, `b` zero.
struct DVAEConvolution {
  let weight, bias: Parameter

  init(_ inChannels: Int, _ outChannels: Int, kernel: Int, in scope: ParameterScope) {
    let deviation = 1 / Float(inChannels * kernel * kernel).squareRoot()
    weight = scope.parameter(
      "w", [outChannels, inChannels, kernel, kernel], .normal(deviation), role: .weight)
    bias = scope.parameter("b", [outChannels], .zeros, role: .bias)
  }

  private var padding: Padding { Padding((weight.shape[2] - 1) / 2) }

  func callAsFunction(_ x: Tensor) -> Tensor {
    convolution2d(x, weight: weight, bias: bias, padding: padding)
  }

  func withReLU(_ x: Tensor) -> Tensor {
    convolution2d(x, weight: weight, bias: bias, padding: padding, relu: true)
  }
}

/// The bottleneck of DALL-E's encoder and decoder: id(x) + gain · res(x), where res is four times ReLU and convolution.
struct DVAEBlock {
  private let shortcut: DVAEConvolution?
  private let convolutions: [DVAEConvolution]
  private let gain: Float

  /// - Parameter kernels: Kernels of the four convolutions: 3, 3, 3, 1 in the encoder and 1, 3, 3, 3 in the decoder.
  init(_ inChannels: Int, _ outChannels: Int, kernels: [Int], gain: Float, in scope: ParameterScope) {
    let hidden = outChannels / 4
    shortcut =
      inChannels == outChannels
      ? nil : DVAEConvolution(inChannels, outChannels, kernel: 1, in: scope / "id_path")
    convolutions = kernels.enumerated().map { index, kernel in
      DVAEConvolution(
        index == 0 ? inChannels : hidden, index == kernels.count - 1 ? outChannels : hidden, kernel: kernel,
        in: scope / "res_path" / "conv_\(index + 1)")
    }
    self.gain = gain
  }

  func callAsFunction(_ x: Tensor) -> Tensor {
    var h = relu(x)
    for convolution in convolutions.dropLast() { h = convolution.withReLU(h) }
    if let last = convolutions.last { h = last(h) }
    return residual(shortcut?(x) ?? x, h, factor: gain)
  }
}

/// The blocks of one resolution.
struct DVAEGroup {
  private let blocks: [DVAEBlock]

  init(
    _ inChannels: Int, _ outChannels: Int, kernels: [Int], _ configuration: DVAEConfiguration,
    in scope: ParameterScope
  ) {
    blocks = (0..<configuration.blocksPerGroup).map { index in
      DVAEBlock(
        index == 0 ? inChannels : outChannels, outChannels, kernels: kernels, gain: configuration.postGain,
        in: scope / "block_\(index + 1)")
    }
  }

  func callAsFunction(_ x: Tensor) -> Tensor { blocks.reduce(x) { $1($0) } }
}

/// DALL-E's encoder, from images to logits over the entries at each place of the grid.
struct DVAEEncoder {
  private let isBlocked: Bool
  private let input: DVAEConvolution
  private let groups: [DVAEGroup]
  private let output: DVAEConvolution

  init(_ configuration: DVAEConfiguration, in scope: ParameterScope) {
    let scope = scope / "blocks"
    let widths = configuration.widths
    isBlocked = prefersChannelBlocks(widths.map { $0 / 4 } + [configuration.baseWidth])
    input = DVAEConvolution(3, configuration.baseWidth, kernel: 7, in: scope / "input")
    groups = widths.indices.map { index in
      DVAEGroup(
        index == 0 ? configuration.baseWidth : widths[index - 1], widths[index], kernels: [3, 3, 3, 1],
        configuration, in: scope / "group_\(index + 1)")
    }
    output = DVAEConvolution(
      widths[widths.count - 1], configuration.vocabulary, kernel: 1, in: scope / "output" / "conv")
  }

  func callAsFunction(_ images: Tensor) -> Tensor {
    var h = input(images)
    if isBlocked { h = channelBlocked(h) }
    for (index, group) in groups.enumerated() {
      if index > 0 { h = maxPool2x2(h) }
      h = group(h)
    }
    return output(channelsLast(relu(h)))
  }
}

/// DALL-E's decoder, from entries, or mixtures of them, to the statistics of every pixel.
struct DVAEDecoder {
  private let isBlocked: Bool
  private let input: DVAEConvolution
  private let groups: [DVAEGroup]
  private let output: DVAEConvolution

  init(_ configuration: DVAEConfiguration, in scope: ParameterScope) {
    let scope = scope / "blocks"
    let widths = Array(configuration.widths.reversed())
    isBlocked = prefersChannelBlocks(widths.map { $0 / 4 } + [configuration.codebookDimension])
    input = DVAEConvolution(
      configuration.vocabulary, configuration.codebookDimension, kernel: 1, in: scope / "input")
    groups = widths.indices.map { index in
      DVAEGroup(
        index == 0 ? configuration.codebookDimension : widths[index - 1], widths[index],
        kernels: [1, 3, 3, 3],
        configuration, in: scope / "group_\(index + 1)")
    }
    output = DVAEConvolution(widths[widths.count - 1], 6, kernel: 1, in: scope / "output" / "conv")
  }

  /// [batch, grid, grid, vocabulary], the share of each entry, to [batch, height, width, 6].
  func callAsFunction(_ shares: Tensor) -> Tensor { draw(input(shares)) }

  /// Tokens of images of a grid to [batch, height, width, 6].
  func callAsFunction(_ tokens: [Int32], grid: Int) -> Tensor {
    draw(codebookVectors(tokens).reshaped([tokens.count / (grid * grid), grid, grid, input.weight.shape[0]]))
  }

  /// What the first convolution makes of single entries: [tokens, codebook dimension].
  func codebookVectors(_ tokens: [Int32]) -> Tensor {
    // The convolution of an entry alone is its column of the weight.
    weightColumns(tokens, of: input.weight.value, bias: input.bias.value)
  }

  private func draw(_ vectors: Tensor) -> Tensor {
    var h = isBlocked ? channelBlocked(vectors) : vectors
    for (index, group) in groups.enumerated() {
      if index > 0 { h = upsampleNearest(h) }
      h = group(h)
    }
    return output(channelsLast(relu(h)))
  }
}

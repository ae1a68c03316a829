extension DVAEConfiguration {
  /// The discrete VAE whose encoder's and decoder's parameters have these names and shapes, in the naming of DALL-E's
  /// published code; nil where there is none.
  ///
  /// - Parameters:
  ///   - encoder: The shapes of the encoder's parameters by name.
  ///   - decoder: The shapes of the decoder's parameters by name.
  ///   - imageSize: Height and width of the images, which do not show in any shape.
  public init?(encoder: [String: [Int]], decoder: [String: [Int]], imageSize: Int) {
    guard let input = encoder["blocks.input.w"], let output = encoder["blocks.output.conv.w"],
      let tokens = decoder["blocks.input.w"], input.count == 4, output.count == 4, tokens.count == 4,
      input[0] > 0
    else { return nil }
    self.init()
    self.imageSize = imageSize
    baseWidth = input[0]
    vocabulary = output[0]
    codebookDimension = tokens[0]
    var widths: [Int] = []
    while let width = encoder["blocks.group_\(widths.count + 1).block_1.res_path.conv_4.w"]?.first {
      widths.append(width)
    }
    channelMultipliers = widths.map { $0 / input[0] }
    blocksPerGroup = (1...).prefix { encoder["blocks.group_1.block_\($0).res_path.conv_1.w"] != nil }.count
    guard !channelMultipliers.isEmpty, widths == self.widths else { return nil }
  }
}

// Floating-point operations of the products in a model, a multiply-add counted as two; everything else is a few per
// cent of them. Forward only: backward takes twice as many, but for the image's gradient, which nobody asks for.

extension VisionTransformerConfiguration {
  /// Operations of one image's way through the transformer, and of the head on its masked patches.
  ///
  /// - Parameters:
  ///   - masked: Masked patches of the image.
  ///   - vocabulary: Tokens the head tells apart; 0 without a head.
  public func forwardOperations(masked: Int = 0, vocabulary: Int = 0) -> Double {
    let (n, d) = (Double(tokens), Double(width))
    let embedding = Double(patches * patchSize * patchSize * 3) * d
    let projections = n * (4 * d * d + 2 * d * Double(hiddenWidth))
    let attention = 2 * n * n * d
    let head = Double(masked * vocabulary) * d
    return 2 * (embedding + Double(depth) * (projections + attention) + head)
  }
}

extension VQVAEConfiguration {
  /// Operations of encoding one image to vectors, without the search for the nearest tokens.
  public var encoderOperations: Double {
    var count = convolution(3, baseWidth, level: 0)
    for level in channelMultipliers.indices {
      count += residualBlocks(
        level == 0 ? baseWidth : width(level - 1), level: level, number: blocksPerLevel)
      if level < last { count += convolution(width(level), width(level), level: level + 1) }
    }
    return count + middle + convolution(width(last), codebookDimension, level: last)
  }

  /// Operations of the search for the nearest token of each vector of an image.
  public var quantizerOperations: Double {
    2 * Double(gridSize * gridSize) * Double(codebookSize) * Double(codebookDimension)
  }

  /// Operations of drawing one image from its tokens.
  public var decoderOperations: Double {
    var count = convolution(codebookDimension, width(last), level: last) + middle
    for level in channelMultipliers.indices.reversed() {
      count += residualBlocks(
        width(min(level + 1, last)), level: level, number: blocksPerLevel + extraDecoderBlocks)
      if level > 0 { count += convolution(width(level), width(level), level: level - 1) }
    }
    return count + convolution(baseWidth, 3, level: 0)
  }

  private var last: Int { channelMultipliers.count - 1 }
  private func width(_ level: Int) -> Int { baseWidth * channelMultipliers[level] }
  private func positions(_ level: Int) -> Double {
    let side = Double(imageSize >> level)
    return side * side
  }

  private func convolution(_ inputs: Int, _ outputs: Int, kernel: Int = 3, level: Int) -> Double {
    2 * positions(level) * Double(kernel * kernel) * Double(inputs) * Double(outputs)
  }

  private func residualBlocks(_ inputs: Int, level: Int, number: Int) -> Double {
    let own = width(level)
    var count = Double(2 * number - 1) * convolution(own, own, level: level)
    count += convolution(inputs, own, level: level)
    if inputs != own { count += convolution(inputs, own, kernel: 1, level: level) }
    if level == last, attentionAtSmallestLevel { count += Double(number) * attention }
    return count
  }

  private var attention: Double {
    4 * convolution(width(last), width(last), kernel: 1, level: last)
      + 4 * positions(last) * positions(last) * Double(width(last))
  }

  private var middle: Double { 4 * convolution(width(last), width(last), level: last) + attention }
}

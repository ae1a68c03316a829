import Datasets
import Models
import Tensors

extension TokenizerConfiguration {
  /// The VQ-VAE that the configuration describes.
  public var architecture: VQVAEConfiguration {
    var result = VQVAEConfiguration()
    result.imageSize = shared.data.imageSize
    result.baseWidth = model.baseWidth
    result.channelMultipliers = model.channelMultipliers
    result.blocksPerLevel = model.blocksPerLevel
    result.attentionAtSmallestLevel = model.attention
    result.codebookSize = codebook.size
    result.codebookDimension = codebook.codebookDimension
    result.codebookDecay = Float(codebook.decay)
    result.codebookLearning = codebook.learning
    result.normalizesCodebook = codebook.normalize
    result.commitmentWeight = Float(codebook.commitmentWeight)
    return result
  }
}

extension TokenizerConfiguration {
  /// The discrete VAE that the configuration describes.
  public var discreteArchitecture: DVAEConfiguration {
    var result = DVAEConfiguration()
    result.imageSize = shared.data.imageSize
    result.baseWidth = model.baseWidth
    result.channelMultipliers = model.channelMultipliers
    result.blocksPerGroup = model.blocksPerLevel
    result.vocabulary = codebook.size
    result.codebookDimension = codebook.codebookDimension
    return result
  }

  /// The tokenizer that the configuration describes, its parameters made in `scope`.
  func makeTokenizer(in scope: ParameterScope) throws -> any Tokenizer {
    switch model.kind {
    case .vqvae: try VQVAE(architecture, in: scope)
    case .dvae: try DVAE(discreteArchitecture, in: scope)
    }
  }
}

extension PretrainConfiguration {
  /// The vision transformer that the configuration describes.
  public var architecture: VisionTransformerConfiguration {
    var result = model.dimensions.architecture(imageSize: shared.data.imageSize)
    result.layerScale = model.layerScale.map { Float($0) }
    result.dropPath = Float(model.dropPath)
    result.positions =
      switch model.positions {
      case .sharedRelative: .sharedRelative
      case .relative: .relative
      case .absolute: .absolute
      }
    return result
  }

  /// How patches are masked. Throws where the settings could mask nothing.
  func maskGenerator() throws -> MaskGenerator {
    try MaskGenerator(
      height: grid, width: grid, count: masking.count(of: grid * grid),
      kind: masking.kind == .random
        ? .random : .blockwise(minimumBlock: masking.minimumBlock, minimumAspect: masking.aspect))
  }
}

import Configuration
import Models
import TokenizerSupport

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

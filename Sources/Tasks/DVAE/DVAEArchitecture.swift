import Configuration
import Models
import TokenizerSupport

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
}

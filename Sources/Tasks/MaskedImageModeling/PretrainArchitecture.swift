import Configuration
import Datasets
import Models

extension PretrainConfiguration {
  /// The vision transformer that the configuration describes.
  public var architecture: VisionTransformerConfiguration {
    var result = model.dimensions.architecture(imageSize: shared.data.imageSize)
    result.layerScale = model.layerScale.map { Float($0) }
    result.dropPath = Float(model.dropPath)
    result.positions = model.positions.positions
    return result
  }

  /// How patches are masked. Throws where the settings could mask nothing.
  func maskGenerator() throws -> MaskGenerator {
    try namingKeys { try pretraining.masking.generator(grid: grid) }
  }

  /// What cards say of it.
  var pretraining: ModelCard.Pretraining {
    ModelCard.Pretraining(
      masking: ModelCard.Masking(
        masking.kind, patches: masking.count(of: grid * grid), minimumBlock: masking.minimumBlock,
        minimumAspect: masking.aspect),
      tokenInterpolation: tokens.interpolation)
  }
}

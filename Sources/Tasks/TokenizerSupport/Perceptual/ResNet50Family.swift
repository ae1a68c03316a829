import Interoperability
import Models
import Tensors

/// ResNet-50, compared after stages.
enum ResNet50Family: PerceptualFamily {
  static let names = PerceptualNames.resnet50

  static func depth(_ settings: TokenizerSettings.Perceptual) -> Int? { ResNet50.stageChannels.count }

  static func make(_ settings: TokenizerSettings, _ weights: PerceptualWeights) throws -> TappedNetwork {
    let stages = settings.perceptual.taps ?? Array(1...ResNet50.stageChannels.count)
    let layers = ResNet50Weights(stages: stages.max() ?? 4, in: weights.scope)
    // Normalization is folded into the kernels once both are there.
    try weights.fill(weights.scope.parameters)
    return TappedNetwork(
      network: ResNet50(layers, taps: Set(stages)),
      taps: stages.map { ($0 - 1, ResNet50.stageChannels[$0 - 1]) })
  }
}

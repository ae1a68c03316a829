import Configuration
import Interoperability
import Models
import Tensors

/// VGG-16, compared after stages.
enum VGG16Family: PerceptualFamily {
  static let names = PerceptualNames.vgg16

  static func depth(_ settings: TokenizerSettings.Perceptual) -> Int? { VGG16.stageChannels.count }

  static func validate(_ settings: TokenizerSettings, _ reader: ConfigurationReader) {
    let perceptual = settings.perceptual
    let deepest = perceptual.taps?.last ?? VGG16.stageChannels.count
    let side = perceptual.imageSize ?? settings.shared.data.imageSize
    let least = 1 << (min(deepest, VGG16.stageChannels.count) - 1)
    reader.require(
      side >= least, perceptual.imageSize == nil ? "data.image_size" : "perceptual.image_size",
      "found \(side), expected at least \(least): vgg16 halves images before each stage but the first, and stage "
        + "\(deepest) is asked for")
  }

  static func make(_ settings: TokenizerSettings, _ weights: PerceptualWeights) throws -> TappedNetwork {
    let stages = settings.perceptual.taps ?? Array(1...VGG16.stageChannels.count)
    let network = VGG16(taps: Set(stages.map { VGG16.Tap.allCases[$0 - 1] }), in: weights.scope)
    try weights.fill(weights.scope.parameters)
    return TappedNetwork(
      network: network, taps: stages.map { ($0 - 1, VGG16.stageChannels[$0 - 1]) })
  }
}

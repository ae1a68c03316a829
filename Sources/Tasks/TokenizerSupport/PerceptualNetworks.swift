import Communication
import Configuration
import Foundation
import Hashing
import ImageOperations
import Interoperability
import Layers
import Logging
import Models
import Operations
import Storage
import Tensors
import Terminal
import Trainer

/// Builds the perceptual network of a configuration and fills in its weights.
package enum PerceptualNetworks {
  /// The network, or nil where the configuration has none, and a checksum over the weights of its files, on rank 0 alone;
  /// random ones need none. Collective; rank 0 reads the weights for all.
  package static func make(
    _ configuration: TokenizerSettings, communicator: Communicator, logger: Logger
  ) throws -> (network: any PerceptualNetwork, checksum: UInt64?)? {
    let settings = configuration.perceptual
    guard settings.network != .none, configuration.loss.perceptualWeight > 0 else { return nil }
    let (weights, names) = try openWeights(settings, communicator: communicator, logger: logger)
    let scope = ParameterScope(seed: configuration.shared.seed, frozen: true)
    /// Fills parameters on rank 0, and then on all.
    func fill(_ parameters: [Parameter], from file: (WeightFile) throws -> Void) throws {
      try communicator.readOnRoot(into: parameters) {
        guard let weights else { return }
        try weights.requireWhole(settings.network, known: scope.parameters)
        try file(weights)
      }
    }
    let network: any PerceptualNetwork
    /// Channels at each tap, and the number of each in a file of channel weights.
    let taps: [(number: Int, channels: Int)]
    switch settings.network {
    case .none: return nil
    case .vgg16:
      let stages = settings.taps ?? Array(1...VGG16.stageChannels.count)
      network = VGG16(taps: Set(stages.map { VGG16.Tap.allCases[$0 - 1] }), in: scope)
      taps = stages.map { ($0 - 1, VGG16.stageChannels[$0 - 1]) }
      try fill(scope.parameters) { try $0.fill(scope.parameters) }
    case .resnet50:
      let stages = settings.taps ?? Array(1...ResNet50.stageChannels.count)
      let weights = ResNet50Weights(stages: stages.max() ?? 4, in: scope)
      // Normalization is folded into the kernels once both are there.
      try fill(scope.parameters) { try $0.fill(scope.parameters) }
      network = ResNet50(weights, taps: Set(stages))
      taps = stages.map { ($0 - 1, ResNet50.stageChannels[$0 - 1]) }
    case .vit:
      let card = try vitCard(configuration, weights, names, communicator: communicator)
      let architecture = try vitArchitecture(configuration, card)
      let blocks = settings.taps ?? Set((1...4).map { max(1, architecture.depth * $0 / 4) }).sorted()
      guard blocks.allSatisfy({ $0 <= architecture.depth }) else {
        throw RunError("perceptual.taps: found \(blocks), expected numbers from 1 to \(architecture.depth)")
      }
      network = try PerceptualViT(
        VisionTransformer(architecture, in: scope), blocks: blocks,
        normalization: card?.preprocessing.normalization.affine ?? .imageNetNormalization)
      taps = blocks.indices.map { ($0, architecture.width) }
      // What comes after the last block is not looked at: files have `norm`, `fc_norm` or none.
      let needed = scope.parameters.filter { !$0.name.hasPrefix("norm.") }
      try fill(needed) { file in
        guard let trained = card?.architecture.transformer else { return }
        _ = try PretrainedWeights.fill(needed, from: file, of: trained, target: architecture)
        if trained.grid != architecture.grid {
          logger.notice(
            """
            \(file.path) was trained on images of \(trained.imageSize)² and is shown \(architecture.imageSize)²: \
            its positions are interpolated
            """)
        }
      }
    }
    let shown = try pooled(network, configuration)
    let checksum = try communicator.agree { try weights?.checksum() }
    guard settings.comparison == .unitChannels else { return (shown, checksum) }
    let channels = try channelWeights(settings, taps: taps, communicator: communicator)
    return (
      UnitChannelNetwork(shown, channelWeights: channels?.map(\.value.elements)),
      checksum.map { [$0, channels.map(weightChecksum) ?? 0].withUnsafeBytes { XXHash64.hash($0) } }
    )
  }

  /// What each channel counts at each tap, as LPIPS learns it; nil where all count the same. Collective.
  private static func channelWeights(
    _ settings: TokenizerSettings.Perceptual, taps: [(number: Int, channels: Int)],
    communicator: Communicator
  ) throws -> [Parameter]? {
    guard let path = settings.channelWeights else { return nil }
    let scope = ParameterScope(seed: 0, frozen: true)
    let parameters = taps.map { tap in
      (scope / "lin\(tap.number)" / "model" / 1).parameter(
        "weight", [1, tap.channels, 1, 1], .ones, role: .weight)
    }
    try communicator.readOnRoot(into: parameters) {
      guard let first = parameters.first else { return }
      try WeightFile(opening: path, anchor: first.name).fill(parameters)
      for parameter in parameters where !parameter.value.elements.allSatisfy({ $0 >= 0 && $0.isFinite }) {
        throw RunError(
          "\(parameter.name) in \(path) has weights below 0 or none at all; LPIPS's are 0 and more")
      }
    }
    return parameters
  }

  /// The file of the weights, under our names, and in which naming it came, on rank 0; nil on the others, and where the
  /// weights are random. Collective.
  private static func openWeights(
    _ settings: TokenizerSettings.Perceptual, communicator: Communicator, logger: Logger
  ) throws -> (WeightFile?, NameTable?) {
    try communicator.agree {
      guard communicator.isRoot, let path = settings.weights else { return (nil, nil) }
      guard path != "random" else {
        logger.warning(
          """
          perceptual.weights is 'random': the perceptual loss compares features of an UNTRAINED network, \
          a weak metric for trying things out; give weights from a file for a tokenizer that matters
          """)
        return (nil, nil)
      }
      var isDirectory: ObjCBool = false
      let isRun =
        FileManager.default.fileExists(atPath: path, isDirectory: &isDirectory) && isDirectory.boolValue
      let file = isRun ? try TransformerWeights.checkpointFile(path) { logger.warning("\($0)") } : path
      return try WeightFile.open(file, of: settings.network)
    }
  }

  /// A ViT's architecture: as its card has it, or where its weights are random, BEiT's of the configured size.
  private static func vitArchitecture(
    _ configuration: TokenizerSettings, _ card: ModelCard?
  ) throws -> VisionTransformerConfiguration {
    let settings = configuration.perceptual
    let side = settings.imageSize ?? configuration.shared.data.imageSize
    guard var result = card?.architecture.transformer else {
      var result = VisionTransformerConfiguration()
      result.imageSize = side
      result.patchSize = settings.patchSize
      result.width = settings.size.width
      result.depth = settings.size.depth
      result.heads = settings.heads ?? settings.size.heads
      return result
    }
    guard side % result.patchSize == 0 else {
      throw RunError(
        "\(settings.weights ?? "") has patches of \(result.patchSize)², which images of \(side)² cannot be cut into; "
          + "set data.image_size or perceptual.image_size to a multiple")
    }
    result.imageSize = side
    return result
  }

  /// The card of a ViT's weights; nil where they are random. Collective.
  private static func vitCard(
    _ configuration: TokenizerSettings, _ weights: WeightFile?, _ names: NameTable?,
    communicator: Communicator
  ) throws -> ModelCard? {
    guard configuration.perceptual.weights != "random" else { return nil }
    return try communicator.readOnRoot {
      guard let weights, let names else { return nil }
      return try vitCard(of: weights, names, configuration.perceptual)
    }
  }

  /// A checkpoint's own card. For other files names and shapes tell the network, but for its attention heads: the
  /// configuration may say them, or a file of itself, or what lies beside it; for others the configured size does.
  private static func vitCard(
    of weights: WeightFile, _ names: NameTable, _ settings: TokenizerSettings.Perceptual
  ) throws -> ModelCard {
    guard weights.path.hasSuffix(".safetensors") else {
      let header = try Checkpoint.header(of: weights.path)
      guard var card = header.card?.transformer else {
        throw RunError(
          "\(weights.path) is of task '\(header.task)'; perceptual.weights needs a transformer's")
      }
      card.architecture.heads = settings.heads ?? card.architecture.heads
      return card
    }
    let told = settings.heads ?? TransformerWeights.attentionHeads(weights.shapes)
    let described = try WeightDescription().completed(
      by: weights.metadata, beside: weights.path,
      layout: names.layout ?? .timm,
      imageSize: 0)
    let width = weights.shapes["patch_embed.proj.weight"]?.first ?? 0
    guard width == settings.size.width || (settings.heads ?? described.heads) != nil else {
      throw RunError(
        "\(weights.path) holds a transformer \(width) wide; perceptual.size is \(settings.size.rawValue), "
          + "which is \(settings.size.width) wide; set perceptual.size, or perceptual.heads")
    }
    let architecture = ModelCard.Architecture(
      parameterShapes: weights.shapes,
      heads: told ?? described.heads ?? ViTSize.heads(width: width, prefix: weights.prefix)
        ?? settings.size.heads,
      normEpsilon: described.normEpsilon ?? names.normEpsilon)
    guard let architecture else {
      throw RunError(
        "\(weights.path) holds no vision transformer in BEiT's, timm's, MoCo v3's, torchvision's or Hugging Face's "
          + "naming")
    }
    return ModelCard(architecture, described.preprocessing)
  }

  /// Shows the network smaller images where the configuration asks for it.
  private static func pooled(
    _ network: any PerceptualNetwork, _ configuration: TokenizerSettings
  ) throws -> any PerceptualNetwork {
    let side = configuration.shared.data.imageSize
    guard let wanted = configuration.perceptual.imageSize, wanted != side else { return network }
    guard wanted < side, side % wanted == 0 else {
      throw RunError(
        "perceptual.image_size is \(wanted); it must be data.image_size, \(side), divided by a whole number")
    }
    return PooledPerceptualNetwork(network: network, window: side / wanted)
  }
}

/// A perceptual network that sees images averaged over windows.
private struct PooledPerceptualNetwork: PerceptualNetwork {
  let network: any PerceptualNetwork
  let window: Int

  func features(_ images: Tensor) -> [Tensor] { network.features(averagePool(images, window: window)) }
}

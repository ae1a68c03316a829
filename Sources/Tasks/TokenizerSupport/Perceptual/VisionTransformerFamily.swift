import Communication
import Configuration
import Interoperability
import Layers
import Logging
import Models
import Storage
import Tensors
import Terminal
import Trainer

/// Vision transformers, PeCo's choice, compared after blocks.
enum VisionTransformerFamily: PerceptualFamily {
  static let names = PerceptualNames.vit
  static let ownKeys = ["size", "heads", "patch_size"].map { "perceptual.\($0)" }
  static let hasAttention = true

  /// How deep a transformer out of a file is, the file tells.
  static func depth(_ settings: TokenizerSettings.Perceptual) -> Int? {
    settings.weights == "random" ? settings.size.depth : nil
  }

  static func validate(_ settings: TokenizerSettings, _ reader: ConfigurationReader) {
    let perceptual = settings.perceptual
    let isRandom = perceptual.weights == "random"
    // A file tells its patches itself, and a checkpoint its size. A file of others is held against the size, which
    // gives the heads that it does not show.
    let isForeign = perceptual.weights?.hasSuffix(".safetensors") == true
    reader.requireEffect(of: ["perceptual.patch_size"], isRandom, needed: "perceptual.weights random")
    reader.requireEffect(
      of: ["perceptual.size"], isRandom || (isForeign && perceptual.heads == nil),
      needed: "perceptual.weights random, or a safetensors file without perceptual.heads")
    guard isRandom else { return }
    let side = perceptual.imageSize ?? settings.shared.data.imageSize
    reader.require(
      side % perceptual.patchSize == 0,
      perceptual.imageSize == nil ? "perceptual.patch_size" : "perceptual.image_size",
      "images of \(side) pixels cannot be cut into patches of \(perceptual.patchSize)")
  }

  static func make(_ settings: TokenizerSettings, _ weights: PerceptualWeights) throws -> TappedNetwork {
    let card = try card(settings, weights)
    let architecture = try architecture(settings, card)
    let depth = architecture.depth
    let blocks = settings.perceptual.taps ?? Set((1...4).map { max(1, depth * $0 / 4) }).sorted()
    guard blocks.allSatisfy({ $0 <= depth }) else {
      throw RunError("perceptual.taps: found \(blocks), expected numbers from 1 to \(depth)")
    }
    let network = try PerceptualViT(
      VisionTransformer(architecture, in: weights.scope), blocks: blocks,
      normalization: card?.preprocessing.normalization.affine ?? .imageNetNormalization)
    // What comes after the last block is not looked at: files have `norm`, `fc_norm` or none.
    let needed = weights.scope.parameters.filter { !$0.name.hasPrefix("norm.") }
    try weights.fill(needed) { file in
      guard let trained = card?.architecture.transformer else { return }
      _ = try PretrainedWeights.fill(needed, from: file, of: trained, target: architecture)
      if trained.grid != architecture.grid {
        weights.logger.notice(
          """
          \(file.path) was trained on images of \(trained.imageSize)² and is shown \(architecture.imageSize)²: \
          its positions are interpolated
          """)
      }
    }
    return TappedNetwork(network: network, taps: blocks.indices.map { ($0, architecture.width) })
  }

  /// A ViT's architecture: as its card has it, or where its weights are random, BEiT's of the configured size.
  private static func architecture(
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
  private static func card(
    _ configuration: TokenizerSettings, _ weights: PerceptualWeights
  ) throws -> ModelCard? {
    guard configuration.perceptual.weights != "random" else { return nil }
    return try weights.communicator.readOnRoot {
      guard let file = weights.file, let table = weights.table else { return nil }
      return try card(of: file, table, configuration.perceptual)
    }
  }

  /// A checkpoint's own card. For other files names and shapes tell the network, but for its attention heads: the
  /// configuration may say them, or a file of itself, or what lies beside it; for others the configured size does.
  private static func card(
    of weights: WeightFile, _ names: NameTable, _ settings: TokenizerSettings.Perceptual
  ) throws -> ModelCard {
    guard try !TensorFiles.isHDF5(weights.path) else {
      let header = try Checkpoint.header(of: weights.path)
      guard var card = header.card?.transformer else {
        throw RunError(
          "\(weights.path) is of task '\(header.task)'; perceptual.weights needs a transformer's")
      }
      card.architecture.heads = settings.heads ?? card.architecture.heads
      return card
    }
    let told = try WeightDescription(heads: settings.heads).completed(for: weights, advice: .using)
    let width = weights.shapes["patch_embed.proj.weight"]?.first ?? 0
    guard width == settings.size.width || told.heads != nil else {
      throw RunError(
        "\(weights.path) holds a transformer \(width) wide; perceptual.size is \(settings.size.rawValue), "
          + "which is \(settings.size.width) wide; set perceptual.size, or perceptual.heads")
    }
    let architecture = ModelCard.Architecture(
      parameterShapes: weights.shapes,
      heads: told.heads ?? ViTSize.heads(width: width, prefix: weights.prefix) ?? settings.size.heads,
      normEpsilon: told.normEpsilon ?? names.normEpsilon)
    guard let architecture else {
      throw RunError(
        "\(weights.path) holds no vision transformer in BEiT's, timm's, MoCo v3's, torchvision's or Hugging Face's "
          + "naming")
    }
    try told.requireKnownNetwork(weights, architecture, advice: .using)
    return ModelCard(architecture, told.preprocessing)
  }
}

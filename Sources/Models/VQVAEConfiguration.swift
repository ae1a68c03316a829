import Layers
import Operations

/// The size of a VQ-VAE tokenizer.
///
/// What is written of it is the network. The averages' decay and the weight of the commitment loss are a matter of
/// training.
public struct VQVAEConfiguration: TokenizerArchitecture {
  /// Height and width of the images, in pixels.
  public var imageSize = 224
  /// Channels at the level of the full image.
  public var baseWidth = 64
  /// Channels at each level as multiples of `baseWidth`; every level after the first halves height and width.
  public var channelMultipliers = [1, 1, 2, 2, 4]
  /// Residual blocks at each level of encoder and decoder (PeCo has two in both).
  public var blocksPerLevel = 2
  /// Further residual blocks at each level of the decoder; VQGAN's published decoder has one.
  public var extraDecoderBlocks = 0
  /// Whether self-attention follows each residual block at the smallest level, beside that in the middle.
  public var attentionAtSmallestLevel = true
  /// Number of entries in the codebook.
  public var codebookSize = 8192
  /// Length of an entry.
  public var codebookDimension = 256
  /// Groups of the group normalization; where the channels of a level are not a multiple, their greatest common
  /// divisor.
  public var normalizationGroups = 32
  /// How much of the codebook's moving averages one step keeps.
  public var codebookDecay: Double = 0.99
  /// What the entries follow.
  public var codebookLearning = VectorQuantizer.Learning.movingAverage
  /// Whether vectors and entries are compared and used at length 1.
  public var normalizesCodebook = false
  /// Weight of the commitment loss.
  public var commitmentWeight: Float = 0.25

  private enum CodingKeys: String, CodingKey {
    case imageSize = "image_size"
    case baseWidth = "base_width"
    case channelMultipliers = "channel_multipliers"
    case blocksPerLevel = "blocks_per_level"
    case extraDecoderBlocks = "extra_decoder_blocks"
    case attentionAtSmallestLevel = "attention"
    case codebookSize = "codebook_size"
    case codebookDimension = "codebook_dimension"
    case normalizationGroups = "normalization_groups"
    case codebookLearning = "codebook_learning"
    case normalizesCodebook = "codebook_normalize"
  }

  /// PeCo's tokenizer at base width 64.
  public init() {}

  /// Pixels of the image along one side of a token.
  public var patchSize: Int { 1 << (channelMultipliers.count - 1) }
  /// Tokens along each side of an image.
  public var gridSize: Int { imageSize / patchSize }

  /// Throws an error that names the field that cannot be.
  public func validate() throws {
    func require(_ condition: Bool, _ field: String, _ problem: @autoclosure () -> String) throws {
      if !condition { throw TokenizerConfigurationError(field: field, problem: problem()) }
    }
    try requireSize(imageSize, "imageSize")
    try requireSize(baseWidth, "baseWidth")
    try requireSize(blocksPerLevel, "blocksPerLevel")
    try requireSize(codebookSize, upTo: 1 << 24, "codebookSize")
    try requireSize(codebookDimension, "codebookDimension")
    try requireSize(normalizationGroups, "normalizationGroups")
    try require(
      (0...1 << 16).contains(extraDecoderBlocks), "extraDecoderBlocks",
      "is \(extraDecoderBlocks), but must be 0 to \(1 << 16)")
    try require(
      !channelMultipliers.isEmpty, "channelMultipliers", "is empty, but names the levels: give one or more")
    try require(
      channelMultipliers.count <= 16, "channelMultipliers",
      "has \(channelMultipliers.count) levels, but at most 16 make sense")
    for multiplier in channelMultipliers { try requireSize(multiplier, "channelMultipliers") }
    try require(
      imageSize % patchSize == 0, "imageSize",
      "is \(imageSize), but \(channelMultipliers.count) levels halve it \(channelMultipliers.count - 1) times: "
        + "give a multiple of \(patchSize)")
    try require(
      codebookDecay >= 0 && codebookDecay < 1, "codebookDecay",
      "is \(codebookDecay), but must be from 0 to below 1")
    try require(
      commitmentWeight >= 0 && commitmentWeight.isFinite, "commitmentWeight",
      "is \(commitmentWeight), but must not be negative")
  }

  func groups(for channels: Int) -> Int {
    var (a, b) = (normalizationGroups, channels)
    while b != 0 { (a, b) = (b, a % b) }
    return a
  }
}

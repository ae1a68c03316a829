/// The size of a discrete VAE with DALL-E's architecture (Ramesh et al., 2102.12092, appendix A).
public struct DVAEConfiguration: TokenizerArchitecture {
  /// Height and width of the images, in pixels.
  public var imageSize = 256
  /// Channels at the level of the full image (`n_hid`).
  public var baseWidth = 256
  /// Channels of each group of blocks as multiples of `baseWidth`; every group after the first halves height and width.
  public var channelMultipliers = [1, 2, 4, 8]
  /// Residual blocks of each group of encoder and decoder (`n_blk_per_group`).
  public var blocksPerGroup = 2
  /// Number of codebook entries.
  public var vocabulary = 8192
  /// Elements of the vector that the decoder makes of a token (`n_init`).
  public var codebookDimension = 128

  private enum CodingKeys: String, CodingKey {
    case imageSize = "image_size"
    case baseWidth = "base_width"
    case channelMultipliers = "channel_multipliers"
    case blocksPerGroup = "blocks_per_group"
    case vocabulary = "codebook_size"
    case codebookDimension = "codebook_dimension"
  }

  /// DALL-E's.
  public init() {}

  /// Pixels of the image along one side of a token.
  public var patchSize: Int { 1 << (channelMultipliers.count - 1) }
  /// Tokens along each side of an image.
  public var gridSize: Int { imageSize / patchSize }
  /// Channels of each group.
  var widths: [Int] { channelMultipliers.map { $0 * baseWidth } }
  /// What the residual path of a block is multiplied by: 1 / (blocks of the network)².
  var postGain: Float {
    let blocks = Float(channelMultipliers.count * blocksPerGroup)
    return 1 / (blocks * blocks)
  }

  /// Throws an error that names the field that cannot be.
  public func validate() throws {
    func require(_ condition: Bool, _ field: String, _ problem: @autoclosure () -> String) throws {
      if !condition { throw TokenizerConfigurationError(field: field, problem: problem()) }
    }
    try requireSize(imageSize, "imageSize")
    try requireSize(baseWidth, "baseWidth")
    try requireSize(blocksPerGroup, "blocksPerGroup")
    try requireSize(vocabulary, upTo: 1 << 24, "vocabulary")
    try requireSize(codebookDimension, "codebookDimension")
    try require(
      (1...16).contains(channelMultipliers.count), "channelMultipliers",
      "is \(channelMultipliers), but must be 1 to 16 numbers")
    for multiplier in channelMultipliers { try requireSize(multiplier, "channelMultipliers") }
    try require(
      widths.allSatisfy { $0 % 4 == 0 }, "baseWidth",
      "is \(baseWidth), but the width of every group must be a multiple of 4")
    try require(
      imageSize % patchSize == 0, "imageSize",
      "is \(imageSize), but \(channelMultipliers.count) groups halve it \(channelMultipliers.count - 1) times: "
        + "give a multiple of \(patchSize)")
  }
}

import Layers
import Tensors

/// What a vision transformer is made of.
public struct VisionTransformerConfiguration: Sendable, Equatable {
  /// How a token knows where it lies.
  public struct Positions: OptionSet, Sendable {
    public let rawValue: Int
    public init(rawValue: Int) { self.rawValue = rawValue }

    /// One table of relative position biases for all blocks (`rel_pos_bias.relative_position_bias_table`).
    public static let sharedRelative = Positions(rawValue: 1)
    /// A table of relative position biases in each block (`blocks.N.attn.relative_position_bias_table`).
    public static let relative = Positions(rawValue: 2)
    /// A learned vector for each position, added to the tokens (`pos_embed`).
    public static let absolute = Positions(rawValue: 4)
    /// The same with sines and cosines of row and column, not trained (MoCo v3's; Chen et al., 2104.02057).
    public static let sinCos = Positions(rawValue: 8)
  }

  /// How the weights start.
  public enum Initialization: Sendable {
    /// BEiT's: a normal distribution cut at one deviation, smaller at the end of residual branches.
    case truncatedNormal
    /// MoCo v3's: uniform within √(6 / (inputs + outputs)) (Glorot and Bengio, 2010), and a class token of almost zero.
    case xavierUniform
  }

  /// Side of the square images in pixels.
  public var imageSize = 224
  /// Side of the square patches in pixels.
  public var patchSize = 16
  /// Length of a token.
  public var width: Int
  /// Number of blocks.
  public var depth: Int
  /// Attention heads in each block.
  public var heads: Int
  /// Width of the MLP's hidden layer as a multiple of `width`.
  public var mlpRatio: Float = 4
  /// Value at which layer scale starts; nil for none.
  public var layerScale: Float? = 0.1
  /// Stochastic depth's rate in the last block; it rises linearly from 0 in the first.
  public var dropPath: Float = 0.1
  /// How a token knows where it lies.
  public var positions: Positions = .sharedRelative
  /// Which of queries, keys and values have a bias.
  public var qkvBias: Attention.Bias = .queryValue
  /// Added to the variance by layer normalization.
  public var normEpsilon: Float = 1e-6
  /// Standard deviation of the weights at the start (a normal distribution cut at one deviation).
  public var initialDeviation: Float = 0.02
  /// How the weights start.
  public var initialization = Initialization.truncatedNormal
  /// Whether the patches' projection stays as it was drawn (MoCo v3, section 4.2).
  public var hasFixedPatchProjection = false

  /// A transformer as BEiT and PeCo pretrain it, ViT-B/16 unless another size is asked for.
  public init(_ size: ViTSize = .base) { (width, depth, heads) = (size.width, size.depth, size.heads) }

  /// Patches along each side of an image.
  public var grid: Int { imageSize / patchSize }
  /// Patches of an image.
  public var patches: Int { grid * grid }
  /// Patches and the class token.
  public var tokens: Int { patches + 1 }
  /// Width of the MLP's hidden layer.
  ///
  /// 0 where the ratio makes none of it that there can be, which `validate` refuses.
  public var hiddenWidth: Int { Int(exactly: (Float(width) * mlpRatio).rounded()) ?? 0 }

  /// The depth (`Parameter.depth`) of what comes after the last block.
  public var lastDepth: Int { depth + 1 }

  /// How the weights of a linear map start.
  ///
  /// - Parameter block: The number of the block whose residual branch it ends.
  func initializer(_ inputs: Int, _ outputs: Int, endOfBlock block: Int? = nil) -> Initializer {
    switch initialization {
    case .xavierUniform: return .uniform((6 / Float(inputs + outputs)).squareRoot())
    case .truncatedNormal:
      // Residual branches add up: BEiT starts those of deeper blocks smaller.
      return .truncatedNormal(initialDeviation / (block.map { Float(2 * ($0 + 1)).squareRoot() } ?? 1))
    }
  }

  /// Stochastic depth's rate in a block, from 0 in the first to `dropPath` in the last.
  public func dropPathRate(block: Int) -> Float {
    depth > 1 ? dropPath * Float(block) / Float(depth - 1) : 0
  }

  /// Throws `VisionTransformerConfigurationError` naming the first field that does not fit.
  public func validate() throws {
    func require(_ holds: Bool, _ field: String, _ found: Any, _ allowed: String) throws {
      if !holds {
        throw VisionTransformerConfigurationError(field: field, found: "\(found)", allowed: allowed)
      }
    }
    try require(patchSize > 0, "patchSize", patchSize, "a positive number of pixels")
    try require(
      imageSize > 0 && imageSize % patchSize == 0, "imageSize", imageSize,
      "a positive multiple of the patch size, \(patchSize)")
    // A bias for each pair of patches is an array of their number squared.
    try require(
      imageSize / patchSize <= 128, "imageSize", imageSize,
      "at most 128 patches of \(patchSize) pixels a side")
    try require(width > 0, "width", width, "a positive number")
    try require(depth > 0, "depth", depth, "at least one block")
    try require(
      heads > 0 && width % heads == 0, "heads", heads, "a positive divisor of the width, \(width)")
    try require(mlpRatio.isFinite && hiddenWidth > 0, "mlpRatio", mlpRatio, "a positive number")
    try require(layerScale?.isFinite ?? true, "layerScale", layerScale ?? 0, "a finite number, or none")
    try require(dropPath >= 0 && dropPath < 1, "dropPath", dropPath, "a rate from 0 to less than 1")
    try require(normEpsilon > 0, "normEpsilon", normEpsilon, "a positive number")
    try require(initialDeviation > 0, "initialDeviation", initialDeviation, "a positive number")
    try require(
      !positions.isSuperset(of: [.sharedRelative, .relative]), "positions", "sharedRelative, relative",
      "relative positions either shared by all blocks or in each block, not both")
    try require(
      !positions.isSuperset(of: [.absolute, .sinCos]), "positions", "absolute, sinCos",
      "either trained or fixed absolute positions, not both")
    try require(
      !positions.contains(.sinCos) || width % 4 == 0, "width", width,
      "a multiple of 4 with sine and cosine positions")
  }
}

/// A field of a configuration that does not fit.
public struct VisionTransformerConfigurationError: Error, CustomStringConvertible, Equatable {
  /// Name of the field.
  public let field: String
  /// Its value.
  public let found: String
  /// What it may be.
  public let allowed: String

  /// One sentence for the person at the terminal.
  public var description: String {
    let name = field.map { $0.isUppercase ? " \($0.lowercased())" : "\($0)" }.joined()
    return "vision transformer: the \(name) is \(found); it must be \(allowed)"
  }
}

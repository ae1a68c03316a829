/// The sizes of vision transformers that have names (Dosovitskiy et al., 2010.11929; tiny and small from DeiT).
public enum ViTSize: String, Sendable, CaseIterable {
  case tiny, small, base, large, huge

  /// Elements of a token.
  public var width: Int {
    switch self {
    case .tiny: 192
    case .small: 384
    case .base: 768
    case .large: 1024
    case .huge: 1280
    }
  }

  /// Number of blocks.
  public var depth: Int {
    switch self {
    case .tiny, .small, .base: 12
    case .large: 24
    case .huge: 32
    }
  }

  /// Attention heads a block.
  public var heads: Int {
    switch self {
    case .tiny: 3
    case .small: 6
    case .base: 12
    case .large, .huge: 16
    }
  }
}

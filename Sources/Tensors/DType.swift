/// The number format of a tensor's elements.
public enum DType: String, Sendable, CaseIterable {
  /// IEEE single precision: 24 significant bits.
  case float32
  /// The upper half of a float32: its range, and 8 significant bits. Rounded to nearest, ties to even; what lies beyond
  /// the greatest number becomes infinity, subnormal numbers stay what they are.
  case bfloat16

  /// Bytes of an element.
  public var size: Int {
    switch self {
    case .float32: 4
    case .bfloat16: 2
    }
  }
}

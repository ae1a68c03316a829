/// FNV-1a, 64 bits: the hash of the names that random streams have. Every draw depends on it, so it stays; contents are
/// compared by `XXHash64`.
public enum FNV1a {
  /// The hash of some bytes.
  @inlinable
  public static func hash(_ bytes: some Sequence<UInt8>) -> UInt64 {
    bytes.reduce(0xcbf2_9ce4_8422_2325) { ($0 ^ UInt64($1)) &* 0x0000_0100_0000_01b3 }
  }
}

import CXXHash

/// The checksum of contents, such as images and weights: xxHash64, fast and the same on every machine.
///
/// It notices damage, not forgery.
///
/// ```swift
/// var hash = XXHash64()
/// for part in parts { part.withUnsafeBytes { hash.update($0) } }
/// let checksum = hash.value
/// ```
public struct XXHash64: Sendable {
  private var state: State

  public init(seed: UInt64 = 0) { state = State(seed: seed) }

  /// The checksum of some bytes.
  public static func hash(_ bytes: UnsafeRawBufferPointer, seed: UInt64 = 0) -> UInt64 {
    XXH64(bytes.baseAddress, bytes.count, seed)
  }

  /// The checksum of some bytes.
  public static func hash(_ bytes: [UInt8], seed: UInt64 = 0) -> UInt64 {
    bytes.withUnsafeBytes { hash($0, seed: seed) }
  }

  /// Takes in more bytes; how they are cut into pieces makes no difference.
  public mutating func update(_ bytes: UnsafeRawBufferPointer) {
    guard let start = bytes.baseAddress else { return }
    if !isKnownUniquelyReferenced(&state) { state = State(copying: state) }
    XXH64_update(state.pointer, start, bytes.count)
  }

  /// The checksum of all bytes so far.
  public var value: UInt64 { XXH64_digest(state.pointer) }

  /// The library's state, whose size only the library knows.
  ///
  /// Unchecked: it is changed only where one hash alone has it.
  private final class State: @unchecked Sendable {
    let pointer: OpaquePointer

    init(seed: UInt64) {
      pointer = Self.allocate()
      XXH64_reset(pointer, seed)
    }

    init(copying other: State) {
      pointer = Self.allocate()
      XXH64_copyState(pointer, other.pointer)
    }

    deinit { XXH64_freeState(pointer) }

    private static func allocate() -> OpaquePointer {
      // Less than a hundred bytes; where there are none, Swift ends the process as well.
      guard let pointer = XXH64_createState() else { preconditionFailure("no memory for a checksum") }
      return pointer
    }
  }
}

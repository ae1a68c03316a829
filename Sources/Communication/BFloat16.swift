import CKernels

/// The upper half of a float32, for numbers on their way between ranks.
public struct BFloat16: ReducibleScalar {
  let bits: UInt16

  public static var scalarType: ScalarType { .bfloat16 }

  /// Exactly.
  var float: Float { Float(bitPattern: UInt32(bits) << 16) }

  init(rounding value: Float) {
    var value = value
    var bits: UInt16 = 0
    peco_to_bfloat16(&bits, &value, 1)
    self.bits = bits
  }
}

extension BFloat16: Comparable {
  public static func < (a: BFloat16, b: BFloat16) -> Bool { a.float < b.float }

  /// Added in float32, and rounded.
  static func + (a: BFloat16, b: BFloat16) -> BFloat16 { BFloat16(rounding: a.float + b.float) }
}

/// Sums numbers of float32 over ranks that travel as bfloat16: half the bytes. It keeps the memory that they travel in.
///
/// Each rank's numbers are rounded, added in float32, and rounded after each addition. So of P ranks the sum of x is wrong
/// by at most P · 2⁻⁸ · Σ |x|, to first order, and mostly by far less: ranks are added in a tree. Every rank gets the same
/// bits.
public final class BFloat16Sum {
  private let halves: UnsafeMutablePointer<BFloat16>
  private let capacity: Int

  /// - Parameter capacity: The most numbers that travel at once.
  public init(capacity: Int = 1 << 20) {
    self.capacity = max(capacity, 1)
    halves = .allocate(capacity: self.capacity)
    halves.initialize(repeating: BFloat16(rounding: 0), count: self.capacity)
  }

  deinit { halves.deallocate() }

  /// Sums over the ranks of a communicator, in place. Collective; of one rank the numbers stay as they are.
  public func allReduce(_ values: UnsafeMutablePointer<Float>, count: Int, over ranks: Communicator) throws {
    guard ranks.size > 1 else { return }
    for start in stride(from: 0, to: count, by: capacity) {
      let length = min(capacity, count - start)
      halves.withMemoryRebound(to: UInt16.self, capacity: length) { bits in
        peco_to_bfloat16(bits, values + start, length)
      }
      try ranks.allReduce(.sum, halves, count: length)
      halves.withMemoryRebound(to: UInt16.self, capacity: length) { bits in
        peco_from_bfloat16(values + start, bits, length)
      }
    }
  }
}

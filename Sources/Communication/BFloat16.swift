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

extension Communicator {
  /// Sums numbers of float32 over all ranks, in place, that travel as bfloat16: half the bytes.
  ///
  /// Each rank's numbers are rounded, added in float32, and rounded after each addition. So of P ranks the sum of x is
  /// wrong by at most P · 2⁻⁸ · Σ |x|, to first order, and mostly by far less: ranks are added in a tree. Every rank gets
  /// the same bits.
  ///
  /// - Parameters:
  ///   - values: What is summed.
  ///   - count: How many.
  ///   - piece: The most that travel at once; memory for so many is taken.
  public func allReduceAsBFloat16(
    _ values: UnsafeMutablePointer<Float>, count: Int, piece: Int = 1 << 20
  ) throws {
    guard size > 1, count > 0 else { return }
    let halves = UnsafeMutablePointer<UInt16>.allocate(capacity: min(piece, count))
    defer { halves.deallocate() }
    for start in stride(from: 0, to: count, by: piece) {
      let length = min(piece, count - start)
      peco_to_bfloat16(halves, values + start, length)
      try halves.withMemoryRebound(to: BFloat16.self, capacity: length) {
        try allReduce(.sum, $0, count: length)
      }
      peco_from_bfloat16(values + start, halves, length)
    }
  }
}

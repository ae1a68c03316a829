import CKernels

/// Sums of float32 values, kept in double precision.
///
/// A double has 29 bits more than its terms: the order in which terms are added no longer shows once the sum is
/// rounded to float32 again, so that the same terms give the same bits however they were spread over micro-batches
/// and ranks.
public final class DoubleSum {
  /// Number of sums.
  public let count: Int
  /// The sums: for operations alone.
  @_spi(TensorMemory) public let pointer: UnsafeMutablePointer<Double>
  private let block: PoolBlock

  /// Sums that are zero.
  public init(count: Int) {
    self.count = count
    block = PoolBlock(bytes: max(count, 1) * MemoryLayout<Double>.stride)
    pointer = block.base.assumingMemoryBound(to: Double.self)
    clear()
  }

  /// The sums, copied.
  public var elements: [Double] { Array(UnsafeBufferPointer(start: pointer, count: count)) }

  /// Hands the sums to `body` without a copy, to be read and written: for MPI, which sums them over ranks in place.
  ///
  /// The buffer holds `count` sums and is good until `body` returns.
  public func withUnsafeMutableElements<Result>(
    _ body: (UnsafeMutableBufferPointer<Double>) throws -> Result
  ) rethrows -> Result {
    try withExtendedLifetime(self) { try body(UnsafeMutableBufferPointer(start: pointer, count: count)) }
  }

  /// Moves terms into the sums from `start` on, and leaves zeros in their place.
  public func take(_ terms: Tensor, at start: Int) {
    precondition(start >= 0 && start + terms.count <= count, "terms outside of the sums")
    let sums = pointer + start
    forEachRange(of: terms.count) { range in
      peco_add_to_double(sums + range.lowerBound, terms.pointer + range.lowerBound, range.count)
      peco_fill(terms.pointer + range.lowerBound, 0, range.count)
    }
  }

  /// Writes the sums rounded to float32, and starts them anew.
  public func move(to rounded: Tensor) {
    precondition(rounded.count == count, "\(count) sums do not fill shape \(rounded.shape)")
    forEachRange(of: count) { [pointer] range in
      peco_round_double(rounded.pointer + range.lowerBound, pointer + range.lowerBound, range.count)
      (pointer + range.lowerBound).update(repeating: 0, count: range.count)
    }
  }

  /// Starts the sums anew.
  public func clear() {
    forEachRange(of: count) { [pointer] range in
      (pointer + range.lowerBound).update(repeating: 0, count: range.count)
    }
  }

  private func forEachRange(of count: Int, _ body: (Range<Int>) -> Void) {
    ThreadPool.current.forEachRange(of: count, grain: 1 << 14, body)
  }
}

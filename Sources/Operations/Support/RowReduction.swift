import CKernels
@_spi(TensorMemory) import Tensors

/// From how many rows of `width` elements on it pays to hand work to another thread.
package func rowGrain(_ width: Int) -> Int { max(1, (1 << 15) / max(width, 1)) }

/// A vector that sums over rows are added to, such as the gradient of a bias.
struct RowSum {
  /// Where the sum is added; nil if nobody wants it.
  let target: UnsafeMutablePointer<Float>?
  let count: Int

  init(_ gradient: Tensor?, at offset: Int = 0, count: Int) {
    target = gradient.map { $0.pointer + offset }
    self.count = count
  }
}

/// Runs `body` over ranges of rows on all threads, giving it for each sum a vector to add into; what the ranges
/// add up to is then added to the targets in the order of the ranges, so that it is the same in every run.
func accumulateOverRows(
  _ rows: Int, grain: Int, into sums: [RowSum],
  _ body: (Range<Int>, [UnsafeMutablePointer<Float>]) -> Void
) {
  let pool = ThreadPool.current
  let ranges = pool.rangeCount(of: rows, grain: grain)
  // A sum nobody wants still needs a place to go; one range alone can add to its target directly.
  let stride = sums.reduce(0) { $0 + ($1.count + 15) / 16 * 16 }
  let partial = Tensor([ranges, stride])
  pool.forEachIndexedRange(of: rows, grain: grain) { index, range in
    var place = partial.pointer + index * stride
    let places = sums.map { sum in
      defer { place += (sum.count + 15) / 16 * 16 }
      return place
    }
    body(range, places)
  }
  for index in 0..<ranges {
    var place = partial.pointer + index * stride
    for sum in sums {
      if let target = sum.target { peco_add_in_place(target, place, sum.count) }
      place += (sum.count + 15) / 16 * 16
    }
  }
}

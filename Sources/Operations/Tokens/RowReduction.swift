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

/// Some entries of a tensor's first axis (samples of a batch), seen as rows.
struct EntrySelection {
  /// The entries in ascending order; nil for all of them.
  let entries: [Int]?
  /// Rows of each entry.
  let rowsPerEntry: Int
  /// Rows of all selected entries.
  let rows: Int

  /// Selects `entries` of a tensor of `count` entries of `rowsPerEntry` rows.
  init(_ entries: [Int]?, of count: Int, rowsPerEntry: Int) {
    if let entries {
      precondition(
        zip(entries, entries.dropFirst()).allSatisfy { $0 < $1 } && (entries.first ?? 0) >= 0
          && (entries.last ?? 0) < max(count, 1),
        "selected entries must ascend and lie within the tensor")
    }
    // All entries in order are the same as no selection, and quicker to walk.
    self.entries = entries?.count == count ? nil : entries
    self.rowsPerEntry = rowsPerEntry
    rows = (entries?.count ?? count) * rowsPerEntry
  }

  /// The entries that are not selected.
  func complement(of count: Int) -> EntrySelection {
    guard let entries else { return EntrySelection([], of: count, rowsPerEntry: rowsPerEntry) }
    let selected = Set(entries)
    let others = (0..<count).filter { !selected.contains($0) }
    return EntrySelection(others, of: count, rowsPerEntry: rowsPerEntry)
  }

  /// Calls `body` with the pieces of a range of selected rows that lie together in the whole tensor.
  func forEachRun(in range: Range<Int>, _ body: (_ selected: Int, _ whole: Int, _ count: Int) -> Void) {
    guard let entries else { return body(range.lowerBound, range.lowerBound, range.count) }
    var row = range.lowerBound
    while row < range.upperBound {
      let (entry, offset) = row.quotientAndRemainder(dividingBy: rowsPerEntry)
      let count = min(rowsPerEntry - offset, range.upperBound - row)
      body(row, entries[entry] * rowsPerEntry + offset, count)
      row += count
    }
  }
}

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

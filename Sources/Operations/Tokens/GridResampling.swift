@_spi(TensorMemory) import Tensors

/// What the rows and the columns of a grid become on another one: a linear map along each, such as bicubic
/// interpolation.
public struct GridMap: Sendable {
  /// What each old row weighs in each new one, [new height][old height].
  public let rows: [[Double]]
  /// What each old column weighs in each new one, [new width][old width].
  public let columns: [[Double]]

  /// The map of these weights; neither list is empty.
  public init(rows: [[Double]], columns: [[Double]]) {
    precondition(!rows.isEmpty && !columns.isEmpty, "a grid without rows or columns")
    (self.rows, self.columns) = (rows, columns)
  }

  /// Places of the old grid.
  fileprivate var oldPlaces: Int { rows[0].count * columns[0].count }
  /// Places of the new grid.
  fileprivate var newPlaces: Int { rows.count * columns.count }
}

/// Takes a table with a vector for each place of a grid, row by row, to another grid.
///
/// Sums are of double precision and rounded once. What stands before the grid (the class token's position) and after it
/// (its relative positions) stays.
///
/// - Parameters:
///   - table: [first + old height · old width + rest, width]
///   - map: From the table's grid to the other one.
///   - first: Rows of the table before the grid.
/// - Returns: [first + new height · new width + rest, width]
public func resampleGrid(_ table: Tensor, _ map: GridMap, first: Int = 0) -> Tensor {
  let width = table.shape.last ?? 1
  let rest = table.count / max(width, 1) - first - map.oldPlaces
  precondition(rest >= 0, "a table of \(table.shape) has no grid of \(map.oldPlaces) from row \(first) on")
  let y = Tensor(uninitialized: [first + map.newPlaces + rest, width])
  let (start, end, newEnd) = (first * width, (first + map.oldPlaces) * width, (first + map.newPlaces) * width)
  y.pointer.update(from: table.pointer, count: start)
  (y.pointer + newEnd).update(from: table.pointer + end, count: rest * width)
  apply(map, from: table.pointer + start, to: y.pointer + start, width: width)
  let target = table.gradientTarget
  return Tape.record(y, from: [table]) { dy in
    let gradient = Tensor(uninitialized: target.shape)
    gradient.pointer.update(from: dy.pointer, count: start)
    (gradient.pointer + end).update(from: dy.pointer + newEnd, count: rest * width)
    let transposed = GridMap(rows: transpose(map.rows), columns: transpose(map.columns))
    apply(transposed, from: dy.pointer + start, to: gradient.pointer + start, width: width)
    target.add(gradient)
  }
}

/// Columns first, then rows, of [old height, old width, width].
private func apply(
  _ map: GridMap, from x: UnsafePointer<Float>, to y: UnsafeMutablePointer<Float>, width: Int
) {
  let (oldColumns, newColumns) = (map.columns[0].count, map.columns.count)
  let line = newColumns * width
  let widened = DoubleSum(count: map.rows[0].count * line)
  ThreadPool.current.forEachRange(of: map.rows[0].count) { range in
    for row in range {
      for (column, weights) in map.columns.enumerated() {
        let sum = widened.pointer + row * line + column * width
        for (place, weight) in weights.enumerated() where weight != 0 {
          let values = x + (row * oldColumns + place) * width
          for channel in 0..<width { sum[channel] += weight * Double(values[channel]) }
        }
      }
    }
  }
  ThreadPool.current.forEachRange(of: map.rows.count) { range in
    var sums = [Double](repeating: 0, count: line)
    for row in range {
      for i in 0..<line { sums[i] = 0 }
      for (place, weight) in map.rows[row].enumerated() where weight != 0 {
        let values = widened.pointer + place * line
        for i in 0..<line { sums[i] += weight * values[i] }
      }
      for i in 0..<line { y[row * line + i] = Float(sums[i]) }
    }
  }
}

private func transpose(_ weights: [[Double]]) -> [[Double]] {
  weights[0].indices.map { column in weights.map { $0[column] } }
}

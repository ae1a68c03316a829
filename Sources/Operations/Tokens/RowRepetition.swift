import CKernels
@_spi(TensorMemory) import Tensors

/// Rows of which some are the same: what is computed row by row needs to be computed once for each distinct one.
public struct RowRepetition: Sendable {
  /// The first row of each kind, ascending.
  public let distinct: [Int]
  /// For each row, which of the distinct ones it is the same as.
  let places: [Int]

  /// Rows of the same kind are the same.
  public init(_ kinds: [Int]) {
    var first: [Int: Int] = [:]
    var distinct: [Int] = []
    places = kinds.enumerated().map { row, kind in
      if let place = first[kind] { return place }
      first[kind] = distinct.count
      distinct.append(row)
      return distinct.count - 1
    }
    self.distinct = distinct
  }
}

/// Puts what was computed of the distinct rows at all the rows that are the same: [distinct, width] → shape + [width].
public func repeatRows(_ x: Tensor, _ repetition: RowRepetition, shape: [Int]) -> Tensor {
  let width = x.shape.last ?? 1
  let places = repetition.places
  precondition(x.count == repetition.distinct.count * width, "\(x.shape) are not the distinct rows")
  precondition(shape.reduce(1, *) == places.count, "\(places.count) rows do not make up \(shape)")
  let y = Tensor(uninitialized: shape + [width], dtype: x.dtype)
  let bytes = width * x.dtype.size
  ThreadPool.current.forEachRange(of: places.count, grain: rowGrain(width)) { range in
    for row in range {
      (y.memory + row * bytes).copyMemory(from: x.memory + places[row] * bytes, byteCount: bytes)
    }
  }
  return Tape.record(y, from: [x]) { dy in
    var rows = [[Int]](repeating: [], count: repetition.distinct.count)
    for (row, place) in places.enumerated() { rows[place].append(row) }
    // Sums of many rows are float32, whatever is added.
    let dx = Tensor(x.shape)
    ThreadPool.current.forEachRange(of: rows.count, grain: rowGrain(width)) { range in
      for place in range {
        let sum = dx.pointer + place * width
        for row in rows[place] {
          switch dy.dtype {
          case .float32: peco_add_in_place(sum, dy.pointer + row * width, width)
          case .bfloat16: peco_sum_bfloat16(sum, dy.halves + row * width, width)
          }
        }
      }
    }
    x.addGradient(dx)
  }
}

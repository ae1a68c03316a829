@_spi(TensorMemory) import Tensors

/// What becomes of a pair of images.
public enum PairMix: Sendable, Equatable {
  case unchanged
  /// Each keeps this share of itself and gets the rest of the other.
  case blend(share: Float)
  /// They exchange a rectangle.
  case exchange(rows: Range<Int>, columns: Range<Int>)
}

/// Images mixed with their neighbors, 0 with 1, 2 with 3, and so on: [B, size, size, 3], B even. Forward only.
///
/// - Parameters:
///   - images: [B, size, size, 3].
///   - mixes: One for each pair.
public func mixPairs(_ images: Tensor, _ mixes: [PairMix]) -> Tensor {
  precondition(images.shape[0] == 2 * mixes.count, "images are mixed in pairs")
  let size = images.shape[1]
  let count = images.count / max(2 * mixes.count, 1)
  let mixed = images.copy()
  ThreadPool.current.forEach(mixes.count) { pair in
    let (first, second) = (images.pointer + 2 * pair * count, images.pointer + (2 * pair + 1) * count)
    let (one, other) = (mixed.pointer + 2 * pair * count, mixed.pointer + (2 * pair + 1) * count)
    switch mixes[pair] {
    case .unchanged: break
    case .blend(let share):
      for i in 0..<count {
        one[i] = share * first[i] + (1 - share) * second[i]
        other[i] = share * second[i] + (1 - share) * first[i]
      }
    case .exchange(let rows, let columns):
      for row in rows {
        let start = (row * size + columns.lowerBound) * 3
        (one + start).update(from: second + start, count: columns.count * 3)
        (other + start).update(from: first + start, count: columns.count * 3)
      }
    }
  }
  return mixed
}

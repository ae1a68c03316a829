@_spi(TensorMemory) import Tensors

/// The most similar among labeled keys for each of some queries, by inner product. Keys come block by block.
public struct NearestNeighbors {
  /// A key that was found.
  public struct Neighbor: Sendable {
    public let similarity: Float
    public let label: Int32
  }

  /// Of each query its neighbors so far, the most similar first. Among equal ones the order is that in which they came.
  public private(set) var found: [[Neighbor]]
  private let queries: Tensor
  private let count: Int

  /// Queries compared at a time.
  private static let block = 4096

  /// Nothing is found yet.
  ///
  /// - Parameters:
  ///   - queries: [M, width]
  ///   - count: How many neighbors of each are kept.
  public init(of queries: Tensor, count: Int) {
    (self.queries, self.count) = (queries, count)
    found = [[Neighbor]](repeating: [], count: queries.shape[0])
  }

  /// Takes more keys [N, width] with a label each into account.
  public mutating func compare(with keys: Tensor, labels: [Int32]) {
    precondition(keys.shape[0] == labels.count, "\(labels.count) labels for keys \(keys.shape)")
    let (size, count) = (labels.count, count)
    for start in stride(from: 0, to: found.count, by: Self.block) {
      let end = min(start + Self.block, found.count)
      let similarities = matrixProduct(queries[rows: start..<end], keys, bTransposed: true)
      found.withUnsafeMutableBufferPointer { found in
        ThreadPool.current.forEachRange(of: end - start) { [found] range in
          for row in range {
            Self.insert(similarities.pointer + row * size, labels, into: &found[start + row], count)
          }
        }
      }
    }
  }

  /// Keeps the `count` greatest, sorted.
  private static func insert(
    _ similarities: UnsafePointer<Float>, _ labels: [Int32], into best: inout [Neighbor], _ count: Int
  ) {
    for i in labels.indices {
      let similarity = similarities[i]
      if best.count == count {
        guard let last = best.last, similarity > last.similarity else { continue }
        best.removeLast()
      }
      let place = best.firstIndex { $0.similarity < similarity } ?? best.count
      best.insert(Neighbor(similarity: similarity, label: labels[i]), at: place)
    }
  }
}

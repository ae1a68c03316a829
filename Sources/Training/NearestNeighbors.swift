import Foundation
import Tensors

/// Classifies vectors by the classes of those most like them, as self-supervised features are usually judged (Wu et al.,
/// 1805.01978, section 3.4): the nearest vote, each with exp(cosine similarity / temperature).
public struct NearestNeighbors {
  /// Vectors of length one, [count, width].
  public let bank: Tensor
  /// The class of each.
  public let labels: [Int32]
  /// How many vote.
  public let neighbors: Int
  /// Of their votes.
  public let temperature: Double

  /// A judge over vectors whose classes are known.
  public init(bank: Tensor, labels: [Int32], neighbors: Int = 20, temperature: Double = 0.07) {
    precondition(bank.shape.count == 2 && bank.shape[0] == labels.count, "one class a vector")
    self.bank = bank
    self.labels = labels
    self.neighbors = neighbors
    self.temperature = temperature
  }

  /// The class of each query, [queries, width] of length one. Equal votes go to the lower class.
  public func classify(_ queries: Tensor) -> [Int32] {
    let (rows, width, count) = (queries.shape[0], bank.shape[1], bank.shape[0])
    var result = [Int32](repeating: -1, count: rows)
    // As many queries at a time as give a product of a few megabytes.
    let piece = max(1, min(rows, (4 << 20) / max(count, 1)))
    for start in stride(from: 0, to: rows, by: piece) {
      let part = min(piece, rows - start)
      let similarities = Tensor(uninitialized: [part, count])
      MatrixMultiply.parallel(
        part, count, width, MatrixView(queries.pointer + start * width, stride: width),
        MatrixView(bank.pointer, stride: width, transposed: true),
        into: MatrixView(similarities.pointer, stride: count))
      result.withUnsafeMutableBufferPointer { result in
        guard let target = result.baseAddress else { return }
        ThreadPool.shared.forEachRange(of: part) { range in
          for row in range { target[start + row] = vote(similarities.pointer + row * count, count) }
        }
      }
    }
    return result
  }

  /// The class that most similarities speak for.
  private func vote(_ similarities: UnsafePointer<Float>, _ count: Int) -> Int32 {
    // The best so far, the worst of them last.
    var best: [(similarity: Float, place: Int)] = []
    best.reserveCapacity(neighbors + 1)
    for place in 0..<count {
      let similarity = similarities[place]
      if best.count == neighbors, let worst = best.last, !(similarity > worst.similarity) { continue }
      let position = best.firstIndex { similarity > $0.similarity } ?? best.count
      best.insert((similarity, place), at: position)
      if best.count > neighbors { best.removeLast() }
    }
    var votes: [Int32: Double] = [:]
    for (similarity, place) in best {
      // Less the greatest possible similarity: the same proportions, and no overflow.
      votes[labels[place], default: 0] += exp((Double(similarity) - 1) / temperature)
    }
    return votes.max { ($0.value, $1.key) < ($1.value, $0.key) }?.key ?? -1
  }
}

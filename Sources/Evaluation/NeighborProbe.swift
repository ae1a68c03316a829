import Communication
import Foundation
import Layers
import Tensors

/// Classification by the k nearest neighbors in cosine similarity, each voting with exp(similarity / temperature) (Wu et
/// al., 1805.01978; k = 20 and 0.07 as DINO has them).
public struct NeighborProbe {
  /// Neighbors that vote.
  public var k = 20
  public var temperature = 0.07

  /// 20 neighbors, temperature 0.07.
  public init() {}

  /// Neighbors compared at a time, and samples.
  private static let block = 4096

  /// Shares of the votes [M, classes] for this rank's samples [M, width] by all ranks' neighbors, of which this rank holds
  /// [N, width]. Collective.
  public func votes(
    for samples: Tensor, neighbors: Tensor, labels: [Int32], classes: Int, communicator: Communicator
  ) throws -> Tensor {
    let width = samples.shape[1]
    let own = Self.normalized(samples)
    let mine = Self.normalized(neighbors)
    let count = own.shape[0]
    var best = [[(similarity: Float, label: Int32)]](repeating: [], count: count)
    let counts = try communicator.allGather(Int64(labels.count)).map { Int($0) }
    // Ranks hold stretches in order, so that of equal neighbors the first of the dataset is taken on any number of them.
    for rank in 0..<communicator.size {
      for first in stride(from: 0, to: counts[rank], by: Self.block) {
        let size = min(Self.block, counts[rank] - first)
        let block = Tensor([size, width])
        var blockLabels = [Int32](repeating: 0, count: size)
        if rank == communicator.rank {
          block.copyElements(from: mine.view(at: first * width, shape: [size, width]))
          blockLabels = Array(labels[first..<first + size])
        }
        try communicator.broadcast(block.pointer, count: block.count, from: rank)
        blockLabels = try communicator.broadcast(
          bytes: blockLabels.withUnsafeBytes { Array($0) }, from: rank
        ).withUnsafeBytes { bytes in
          (0..<size).map { bytes.loadUnaligned(fromByteOffset: 4 * $0, as: Int32.self) }
        }
        for start in stride(from: 0, to: count, by: Self.block) {
          let rows = min(Self.block, count - start)
          let similarities = Tensor(uninitialized: [rows, size])
          MatrixMultiply.parallel(
            rows, size, width, MatrixView(own.pointer + start * width, stride: width),
            MatrixView(block.pointer, stride: width, transposed: true),
            into: MatrixView(similarities.pointer, stride: size))
          best.withUnsafeMutableBufferPointer { best in
            ThreadPool.shared.forEachRange(of: rows) { range in
              for row in range {
                insert(similarities.pointer + row * size, blockLabels, into: &best[start + row])
              }
            }
          }
        }
      }
    }
    let votes = Tensor([count, classes])
    for (row, neighbors) in best.enumerated() {
      // Compared with the nearest's, so that none is too great for a number.
      let nearest = Double(neighbors.first?.similarity ?? 0)
      let weights = neighbors.map { exp((Double($0.similarity) - nearest) / temperature) }
      let sum = weights.reduce(0, +)
      for (weight, neighbor) in zip(weights, neighbors) {
        votes.pointer[row * classes + Int(neighbor.label)] += Float(weight / sum)
      }
    }
    return votes
  }

  /// Keeps the k greatest, sorted.
  private func insert(
    _ similarities: UnsafePointer<Float>, _ labels: [Int32],
    into best: inout [(similarity: Float, label: Int32)]
  ) {
    for i in labels.indices {
      let similarity = similarities[i]
      if best.count == k {
        guard let last = best.last, similarity > last.similarity else { continue }
        best.removeLast()
      }
      let place = best.firstIndex { $0.similarity < similarity } ?? best.count
      best.insert((similarity, labels[i]), at: place)
    }
  }

  /// Rows divided by their length.
  private static func normalized(_ rows: Tensor) -> Tensor {
    let width = rows.shape[1]
    let result = rows.copy()
    for row in 0..<rows.shape[0] {
      let x = result.pointer + row * width
      var sum = 0.0
      for i in 0..<width { sum += Double(x[i]) * Double(x[i]) }
      let scale = Float(1 / max(sum.squareRoot(), 1e-12))
      for i in 0..<width { x[i] *= scale }
    }
    return result
  }
}

import Communication
import Foundation
import Operations
import Tensors
import Trainer

/// Classification by the k nearest neighbors in cosine similarity, each voting with exp(similarity / temperature) (Wu
/// et al., 1805.01978; k = 20 and 0.07 as DINO has them).
public struct NeighborProbe {
  /// Neighbors that vote.
  public var k = 20
  public var temperature = 0.07

  /// 20 neighbors, temperature 0.07.
  public init() {}

  /// Neighbors compared at a time.
  private static let block = 4096

  /// Shares of the votes [M, classes] for this rank's samples [M, width] by all ranks' neighbors, of which this rank
  /// holds [N, width]. Collective.
  public func votes(
    for samples: Tensor, neighbors: Tensor, labels: [Int32], classes: Int, communicator: Communicator
  ) throws -> Tensor {
    let width = samples.shape[1]
    let mine = unitRows(neighbors)
    var nearest = NearestNeighbors(of: unitRows(samples), count: k)
    let counts = try communicator.allGather(Int64(labels.count)).map { Int($0) }
    // Ranks hold stretches in order, so that of equal neighbors the first of the dataset is taken on any number of
    // them.
    for rank in 0..<communicator.size {
      for first in stride(from: 0, to: counts[rank], by: Self.block) {
        let size = min(Self.block, counts[rank] - first)
        let block = Tensor([size, width])
        var blockLabels = [Int32](repeating: 0, count: size)
        if rank == communicator.rank {
          block.copyElements(from: mine[rows: first..<first + size])
          blockLabels = Array(labels[first..<first + size])
        }
        try communicator.broadcast(block, from: rank)
        blockLabels = try communicator.broadcast(
          bytes: blockLabels.withUnsafeBytes { Array($0) }, from: rank
        ).withUnsafeBytes { bytes in
          (0..<size).map { bytes.loadUnaligned(fromByteOffset: 4 * $0, as: Int32.self) }
        }
        nearest.compare(with: block, labels: blockLabels)
      }
    }
    var votes = [Float](repeating: 0, count: nearest.found.count * classes)
    for (row, neighbors) in nearest.found.enumerated() {
      // Compared with the nearest's, so that none is too great for a number.
      let nearest = Double(neighbors.first?.similarity ?? 0)
      let weights = neighbors.map { exp((Double($0.similarity) - nearest) / temperature) }
      let sum = weights.reduce(0, +)
      for (weight, neighbor) in zip(weights, neighbors) {
        votes[row * classes + Int(neighbor.label)] += Float(weight / sum)
      }
    }
    return Tensor(votes, shape: [nearest.found.count, classes])
  }
}

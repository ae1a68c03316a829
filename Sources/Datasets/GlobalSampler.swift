import Foundation
import Tensors

/// Decides which images make up the global batch of each step.
///
/// An epoch is a permutation of the dataset, keyed by the seed and the epoch alone, cut into global batches.
/// The remainder that does not fill a batch (fewer than `globalBatchSize` images, others in every epoch) is
/// left out of that epoch. Ranks only cut the global batch (see `RankShare`), so training sees the same
/// batches on any number of them. Safe to use from any thread.
///
/// Unchecked: all is constant but the permutations, which a lock guards.
public final class GlobalSampler: @unchecked Sendable {
  /// Images that are used.
  public let count: Int
  /// Images in the dataset.
  public let datasetCount: Int
  /// Images in the batch of one step, over all ranks.
  public let globalBatchSize: Int
  /// Steps in one epoch.
  public let stepsPerEpoch: Int

  private let seed: UInt64
  private let subset: [Int]?
  private let lock = NSLock()
  /// The two latest: around the end of an epoch prefetching already needs the next.
  private var permutations: [(epoch: Int, order: [UInt32])] = []

  /// Throws when the dataset is smaller than one batch.
  ///
  /// - Parameters:
  ///   - datasetCount: Images in the dataset.
  ///   - subset: Those that are used; nil for all.
  ///   - globalBatchSize: Images of a step, over all ranks.
  ///   - seed: The seed of the run.
  public init(count datasetCount: Int, subset: [Int]? = nil, globalBatchSize: Int, seed: UInt64) throws {
    precondition(
      subset?.allSatisfy((0..<datasetCount).contains) ?? true, "a subset of what is not in the dataset")
    let count = subset?.count ?? datasetCount
    guard globalBatchSize > 0 else {
      throw DatasetError(.globalBatchSize, "is \(globalBatchSize), must be at least 1")
    }
    guard count >= globalBatchSize else {
      throw DatasetError(
        .globalBatchSize,
        "is \(globalBatchSize), but the dataset holds only \(count) images"
          + (subset == nil ? "" : " in the share whose labels are used"),
        advice: "choose at most \(count), or a larger dataset")
    }
    guard count <= Int(UInt32.max) else {
      throw DatasetError("dataset", "\(count) images are more than a permutation of 2³² can order")
    }
    self.count = count
    self.datasetCount = datasetCount
    self.subset = subset
    self.globalBatchSize = globalBatchSize
    self.seed = seed
    stepsPerEpoch = count / globalBatchSize
  }

  /// The epoch, from 0, that the step, from 0, belongs to.
  public func epoch(ofStep step: Int) -> Int { step / stepsPerEpoch }

  /// The dataset indices of the whole global batch of a step, in order.
  public func samples(step: Int) -> [Int] {
    let start = step % stepsPerEpoch * globalBatchSize
    return withPermutation(ofEpoch: epoch(ofStep: step)) { order in
      order[start..<start + globalBatchSize].map { place in subset.map { $0[Int(place)] } ?? Int(place) }
    }
  }

  private func withPermutation<Result>(ofEpoch epoch: Int, _ body: ([UInt32]) -> Result) -> Result {
    lock.withLock {
      if let known = permutations.first(where: { $0.epoch == epoch }) { return body(known.order) }
      if permutations.count == 2 { permutations.removeFirst() }
      var order = (0..<UInt32(count)).map { $0 }
      var stream = RandomStream(seed: seed, purpose: .order, time: epoch)
      for i in stride(from: count - 1, to: 0, by: -1) { order.swapAt(i, stream.integer(below: i + 1)) }
      permutations.append((epoch, order))
      return body(order)
    }
  }
}

/// One rank's part of every global batch, and how it is cut into micro-batches.
///
/// Rank r of R takes the contiguous slice [G·r/R, G·(r+1)/R) of the global batch, in micro-batches in order.
public struct RankShare: Sendable, Equatable {
  /// Images of one micro-batch.
  public let microBatchSize: Int
  /// Micro-batches that this rank computes for one step.
  public let microBatches: Int
  private let start: Int

  /// Throws unless every rank gets the same whole number of micro-batches.
  public init(rank: Int = 0, ranks: Int = 1, globalBatchSize: Int, microBatchSize: Int) throws {
    precondition(ranks > 0 && (0..<ranks).contains(rank), "rank \(rank) of \(ranks)")
    guard microBatchSize > 0 else {
      throw DatasetError(.microBatchSize, "is \(microBatchSize), must be at least 1")
    }
    guard globalBatchSize > 0, globalBatchSize % (ranks * microBatchSize) == 0 else {
      throw DatasetError(
        .globalBatchSize,
        "\(globalBatchSize) cannot be cut into micro-batches of \(microBatchSize) on "
          + (ranks == 1 ? "one rank" : "\(ranks) ranks"),
        advice: "it must be a multiple of ranks × micro-batch size = \(ranks * microBatchSize)")
    }
    self.microBatchSize = microBatchSize
    microBatches = globalBatchSize / ranks / microBatchSize
    start = globalBatchSize / ranks * rank
  }

  /// Where in the global batch micro-batch `index` of this rank lies.
  public func range(ofMicroBatch index: Int) -> Range<Int> {
    let first = start + index * microBatchSize
    return first..<first + microBatchSize
  }
}

import Datasets
import Tensors

/// Batches one after another, made when they are asked for.
public final class GeneratedBatches: BatchSource {
  private let share: RankShare
  private let make: (_ step: Int, _ places: Range<Int>) -> Batch
  private var position = 0

  /// A rank's share of each step, cut into micro-batches.
  ///
  /// - Parameter make: The micro-batch of these places of a step's global batch.
  public init(_ share: RankShare, make: @escaping (_ step: Int, _ places: Range<Int>) -> Batch) {
    (self.share, self.make) = (share, make)
  }

  public func next() -> Batch? {
    let (step, part) = position.quotientAndRemainder(dividingBy: share.microBatches)
    position += 1
    return make(step, share.range(ofMicroBatch: part))
  }
}

/// Images [samples, side, side, 3] from −1 to 1, each of which depends on its sample's number alone.
public func noiseImages(_ samples: some Collection<Int>, side: Int, seed: UInt64 = 1) -> Tensor {
  var values: [Float] = []
  for sample in samples {
    var stream = RandomStream(seed: seed, purpose: .test, time: sample)
    values += (0..<side * side * 3).map { _ in stream.uniform(-1, 1) }
  }
  return Tensor(values, shape: [samples.count, side, side, 3])
}

import CKernels
@_spi(TensorMemory) import Tensors

/// The noise of a step's Gumbel-softmax samples.
///
/// A draw depends on the seed, the step, the sample's index in the dataset and its place in the sample, and on nothing
/// else, so that it is the same however the batch is split.
public struct GumbelNoise: Sendable {
  /// Seed of the run.
  public var seed: UInt64
  /// Step of the run.
  public var step: Int
  /// Dataset index of each sample of the batch.
  public var samples: [Int]

  /// The noise of one step for the samples with the given dataset indices.
  public init(seed: UInt64, step: Int, samples: [Int]) {
    self.seed = seed
    self.step = step
    self.samples = samples
  }

  /// Independent draws of the standard Gumbel distribution, −log(−log u) with u uniform, of `shape`
  /// [samples.count, ...].
  public func callAsFunction(_ shape: [Int]) -> Tensor {
    precondition(shape.first == samples.count, "noise for \(samples.count) samples has not shape \(shape)")
    let noise = Tensor(uninitialized: shape)
    let size = shape.dropFirst().reduce(1, *)
    // A counter holds 2³² blocks of four; no sample is near it. Pieces are whole vectors of counters.
    let piece = 1 << 14
    let pieces = (size + piece - 1) / piece
    ThreadPool.current.forEachRange(of: samples.count * pieces) { range in
      for number in range {
        let (sample, part) = number.quotientAndRemainder(dividingBy: pieces)
        let first = part * piece
        peco_gumbel_noise(
          noise.pointer + sample * size + first, seed, RandomPurpose.gumbel.rawValue,
          UInt32(truncatingIfNeeded: step), UInt32(truncatingIfNeeded: samples[sample]), first,
          min(piece, size - first))
      }
    }
    return noise
  }
}

import Tensors

/// Which residual branches a step leaves out, sample by sample (Huang et al., 2016; "drop path").
///
/// A draw depends on the seed, the step, the sample's index in the dataset, the layer and the branch, and on
/// nothing else, so that it is the same however the batch is split.
public struct StochasticDepth: Sendable {
  /// Seed of the run.
  public var seed: UInt64
  /// Step of the run.
  public var step: Int
  /// Dataset index of each sample of the batch.
  public var samples: [Int]

  /// The draws of one step for the samples with the given dataset indices.
  public init(seed: UInt64, step: Int, samples: [Int]) {
    self.seed = seed
    self.step = step
    self.samples = samples
  }

  /// The places in the batch whose branch is computed, ascending; nil for all of them.
  ///
  /// - Parameters:
  ///   - layer: Number of the block.
  ///   - branch: Number of the branch in it: 0 for attention, 1 for the MLP.
  ///   - rate: Probability of leaving a sample's branch out.
  public func kept(layer: Int, branch: Int, rate: Float) -> [Int]? {
    guard rate > 0 else { return nil }
    let kept = samples.indices.filter { place in
      var stream = RandomStream(seed: seed, purpose: .dropPath, time: step, index: samples[place])
      for _ in 0..<(2 * layer + branch) { _ = stream.nextWord() }
      return stream.uniform() >= rate
    }
    return kept.count == samples.count ? nil : kept
  }
}

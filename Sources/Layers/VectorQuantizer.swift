import Operations
import Tensors

/// A codebook that replaces vectors by the nearest of its entries and learns by exponential moving averages
/// (van den Oord et al., 1711.00937, appendix A.1; Razavi et al., 1906.00446), or by the gradient of its own loss
/// (the same, equation 3).
///
/// In training each optimizer step goes: forward on every micro-batch, which adds to `statistics`; their sum over
/// ranks; `update`. All ranks then hold the same entries.
public final class VectorQuantizer {
  /// What entries follow.
  public enum Learning: String, Sendable, Codable, CaseIterable {
    /// Exponential moving averages of the vectors that chose them.
    case movingAverage = "ema"
    /// The gradient of ‖sg[z] − e‖², by the optimizer.
    case gradient
  }

  /// What quantizing gives.
  public struct Output {
    /// The nearest entries, shaped as the input. Gradients pass straight through to the input.
    public let quantized: Tensor
    /// The commitment loss, mean (z − entry)² with the entry held fixed; a scalar without its weight.
    public let commitment: Tensor
    /// The codebook's loss, mean (z − entry)² with z held fixed, where entries learn by gradient.
    public let codebookLoss: Tensor?
    /// The index of the nearest entry for each vector.
    public let indices: [Int32]
  }

  /// The entries, [entries, length].
  public let embedding: Parameter
  /// Moving average of how many vectors a step go to each entry, [entries].
  public let clusterSize: Parameter
  /// Moving average of the sum of the vectors that go to each entry, [entries, length]; nil where entries learn by
  /// gradient.
  public let embeddingAverage: Parameter?
  /// What this step has gathered so far, in one buffer that ranks sum: [entries] counts, then [entries, length] sums,
  /// which entries that learn by gradient do without.
  public let statistics: DoubleSum
  /// What entries follow.
  public let learning: Learning
  /// Whether vectors and entries are compared and used at length 1, as ViT-VQGAN does (Yu et al., 2110.04627, section
  /// 3.2).
  public let isNormalized: Bool
  /// How much of the averages a step keeps.
  public let decay: Double
  /// Laplace smoothing of the cluster sizes.
  public let epsilon: Float

  /// Number of entries.
  public var entries: Int { embedding.shape[0] }
  /// Length of an entry.
  public var length: Int { embedding.shape[1] }

  /// A codebook of `entries` entries of `length`, at first drawn from a normal distribution.
  public init(
    entries: Int, length: Int, decay: Double = 0.99, epsilon: Float = 1e-5,
    learning: Learning = .movingAverage,
    normalized: Bool = false, in scope: ParameterScope
  ) {
    embedding =
      learning == .gradient
      ? scope.parameter("embedding", [entries, length], .normal(1), role: .codebook)
      : scope.state("embedding", [entries, length], .normal(1), role: .codebook)
    if normalized { embedding.value.copyElements(from: unitChannels(embedding.value)) }
    // A size of 1 with the sum of one vector: entries start as their own average, and die out if unused.
    clusterSize = scope.state("cluster_size", [entries], .ones)
    embeddingAverage =
      learning == .gradient ? nil : scope.state("embedding_average", [entries, length], .zeros)
    embeddingAverage?.value.copyElements(from: embedding.value)
    statistics = DoubleSum(count: entries * (learning == .gradient ? 1 : 1 + length))
    self.decay = decay
    self.epsilon = epsilon
    self.learning = learning
    isNormalized = normalized
  }

  /// Replaces vectors by the nearest entries.
  ///
  /// - Parameters:
  ///   - z: The vectors, [..., length].
  ///   - mode: In training the vectors count in the next `update`.
  public func callAsFunction(_ z: Tensor, mode: Mode) -> Output {
    let z = isNormalized ? unitChannels(z) : z
    let indices = nearestEntries(of: z, in: codebook)
    if mode == .training {
      addAssignments(of: z, to: indices, into: statistics, entries: entries, withSums: learning != .gradient)
    }
    let entries =
      learning == .gradient ? trainedEntries(indices, alongside: z) : lookUp(indices, shape: z.shape)
    let quantized = Tape.record(entries.detached, from: [z]) { dy in z.addGradient(dy) }
    return Output(
      quantized: quantized, commitment: meanSquaredError(z, entries.detached),
      codebookLoss: learning == .gradient ? meanSquaredError(entries, z.detached) : nil, indices: indices)
  }

  /// The index of the nearest entry for each vector of `z` [..., length]; the lowest where several are as near.
  public func nearest(_ z: Tensor) -> [Int32] {
    nearestEntries(of: isNormalized ? unitChannels(z.detached) : z, in: codebook)
  }

  /// The entries as they are compared and used. Those that follow averages are kept at length 1 where it is asked for,
  /// those that follow gradients go where the optimizer takes them.
  private var codebook: Tensor {
    isNormalized && learning == .gradient ? unitChannels(embedding.value) : embedding.value
  }

  /// The entries at `indices`, shaped as `z` and on its tape: gradients flow into the embedding.
  private func trainedEntries(_ indices: [Int32], alongside z: Tensor) -> Tensor {
    let rows = Operations.embedding(indices, embedding, alongside: z).reshaped(z.shape)
    return isNormalized ? unitChannels(rows) : rows
  }

  /// The entries at `indices`, as a tensor of `shape` [..., length].
  public func lookUp(_ indices: [Int32], shape: [Int]) -> Tensor {
    codebookEntries(indices, of: codebook).reshaped(shape)
  }

  /// How evenly the entries were used in what `statistics` has gathered.
  public var usage: CodebookUsage {
    statistics.withUnsafeMutableElements { CodebookUsage(counts: $0.prefix(entries)) }
  }

  /// Moves the averages by what `statistics` has gathered, computes the entries anew, unless they learn by gradient,
  /// and clears the statistics; once an optimizer step, after ranks have summed theirs.
  public func update() {
    moveCodebook(
      embedding.value, average: embeddingAverage?.value, sizes: clusterSize.value, by: statistics,
      decay: decay, epsilon: epsilon)
    if isNormalized, embeddingAverage != nil {
      embedding.value.copyElements(from: unitChannels(embedding.value))
    }
    statistics.clear()
  }

  /// The entries that have fallen out of use: fewer than `threshold` vectors a step, on average.
  public func deadEntries(below threshold: Float) -> [Int] {
    clusterSize.value.elements.enumerated().filter { $0.element < threshold }.map(\.offset)
  }

  /// Lets entries count as fallen out of use. They stay where they are until vectors choose them, or they are replaced.
  public func retire(entries retired: [Int]) {
    for entry in retired {
      check(entry)
      clusterSize.value[row: entry].fill(0)
      embeddingAverage?.value[row: entry].fill(0)
    }
  }

  /// Replaces `entries` by `vectors` [entries, length], one each, as if each had `clusterSize` vectors a step.
  ///
  /// Encoder outputs that take the place of dead entries bring them back into use; those of a first batch in the
  /// place of all entries are where k-means starts. Every rank passes the same vectors.
  public func revive(entries revived: [Int], with vectors: Tensor, clusterSize size: Float = 1) {
    precondition(
      vectors.count == revived.count * length,
      "\(revived.count) entries take as many vectors of \(length), not shape \(vectors.shape)")
    let rows = vectors.reshaped([revived.count, length]).detached
    let vectors = isNormalized ? unitChannels(rows) : rows
    for (place, entry) in revived.enumerated() {
      check(entry)
      embedding.value[row: entry].copyElements(from: vectors[row: place])
      clusterSize.value[row: entry].fill(size)
      embeddingAverage?.value[row: entry].copyElements(from: scale(vectors[row: place], size))
    }
  }

  private func check(_ entry: Int) {
    precondition(entry >= 0 && entry < entries, "there is no entry \(entry) in a codebook of \(entries)")
  }
}

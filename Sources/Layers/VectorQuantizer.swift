import CKernels
import Foundation
@_spi(TensorMemory) import Tensors

/// How evenly the entries of a codebook were used.
public struct CodebookUsage: Sendable, Equatable {
  /// exp of the entropy of the entries' shares: the number of entries that would be as diverse if used equally.
  public let perplexity: Float
  /// Share of the entries that were used at least once.
  public let usedShare: Float

  /// The usage that counts of entries tell.
  public init(counts: some Collection<Double>) {
    let total = counts.reduce(0, +)
    guard total > 0 else {
      (perplexity, usedShare) = (0, 0)
      return
    }
    let entropy = counts.reduce(0.0) { sum, count in
      let p = count / total
      return p > 0 ? sum - p * log(p) : sum
    }
    perplexity = Float(exp(entropy))
    usedShare = Float(counts.lazy.filter { $0 > 0 }.count) / Float(max(counts.count, 1))
  }
}

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
  /// Moving average of the sum of the vectors that go to each entry, [entries, length]; nil where entries learn by gradient.
  public let embeddingAverage: Parameter?
  /// What this step has gathered so far, in one buffer that ranks sum: [entries] counts, then [entries, length] sums, which
  /// entries that learn by gradient do without.
  public let statistics: DoubleSum
  /// What entries follow.
  public let learning: Learning
  /// Whether vectors and entries are compared and used at length 1, as ViT-VQGAN does (Yu et al., 2110.04627, section
  /// 3.2).
  public let isNormalized: Bool
  /// How much of the averages a step keeps.
  public let decay: Float
  /// Laplace smoothing of the cluster sizes.
  public let epsilon: Float

  /// Number of entries.
  public var entries: Int { embedding.shape[0] }
  /// Length of an entry.
  public var length: Int { embedding.shape[1] }

  /// A codebook of `entries` entries of `length`, at first drawn from a normal distribution.
  public init(
    entries: Int, length: Int, decay: Float = 0.99, epsilon: Float = 1e-5,
    learning: Learning = .movingAverage,
    normalized: Bool = false, in scope: ParameterScope
  ) {
    embedding =
      learning == .gradient
      ? scope.parameter("embedding", [entries, length], .normal(1), decayed: false)
      : scope.state("embedding", [entries, length], .normal(1))
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

  /// Quantizes `z` [..., length].
  ///
  /// - Parameter gathersStatistics: Whether the vectors count in the next `update`; by default if `z` is on a tape.
  public func callAsFunction(_ z: Tensor, gathersStatistics: Bool? = nil) -> Output {
    let z = isNormalized ? unitChannels(z) : z
    let indices = search(z)
    if gathersStatistics ?? (z.tape != nil) { gather(z, indices) }
    let entries =
      learning == .gradient ? trainedEntries(indices, alongside: z) : lookUp(indices, shape: z.shape)
    let quantized = Tape.record(entries.detached, from: [z]) { dy in z.addGradient(dy) }
    return Output(
      quantized: quantized, commitment: meanSquaredError(z, entries.detached),
      codebookLoss: learning == .gradient ? meanSquaredError(entries, z.detached) : nil, indices: indices)
  }

  /// The index of the nearest entry for each vector of `z` [..., length]; the lowest where several are as near.
  public func nearest(_ z: Tensor) -> [Int32] { search(isNormalized ? unitChannels(z.detached) : z) }

  /// The entries as they are compared and used. Those that follow averages are kept at length 1 where it is asked for,
  /// those that follow gradients go where the optimizer takes them.
  private var codebook: Tensor {
    isNormalized && learning == .gradient ? unitChannels(embedding.value) : embedding.value
  }

  /// The entries at `indices`, shaped as `z` and on its tape: gradients flow into the embedding.
  private func trainedEntries(_ indices: [Int32], alongside z: Tensor) -> Tensor {
    let rows = Embedding(embedding)(indices, alongside: z).reshaped(z.shape)
    return isNormalized ? unitChannels(rows) : rows
  }

  private func search(_ z: Tensor) -> [Int32] {
    precondition(z.shape.last == length, "vectors of \(length) are expected, not shape \(z.shape)")
    let (entries, length) = (entries, length)
    let count = z.count / length
    let table = codebook
    let norms = Tensor(uninitialized: [entries])
    ThreadPool.current.forEachRange(of: entries, grain: max(1, 1 << 15 / length)) { range in
      for entry in range {
        norms.pointer[entry] = Float(peco_sum_of_squares(table.pointer + entry * length, length))
      }
    }
    var indices = [Int32](repeating: -1, count: count)
    // ‖z − e‖² less the constant ‖z‖² is ‖e‖² − 2z·e: tiles of that which stay in cache, least ones taken at once.
    let (tileRows, tileEntries) = (64, 1024)
    indices.withUnsafeMutableBufferPointer { indices in
      ThreadPool.current.forEach((count + tileRows - 1) / tileRows) { [indices] tile in
        let rows = tile * tileRows..<min((tile + 1) * tileRows, count)
        let scores = Tensor(uninitialized: [tileRows, tileEntries])
        var least = [Float](repeating: .infinity, count: tileRows)
        for firstEntry in stride(from: 0, to: entries, by: tileEntries) {
          let width = min(tileEntries, entries - firstEntry)
          MatrixMultiply.serial(
            rows.count, width, length, MatrixView(z.pointer + rows.lowerBound * length, stride: length),
            MatrixView(table.pointer + firstEntry * length, stride: length, transposed: true),
            into: MatrixView(scores.pointer, stride: tileEntries), alpha: -2)
          for (place, row) in rows.enumerated() {
            guard let index = indices.baseAddress?.advanced(by: row) else { continue }
            peco_least_biased(
              scores.pointer + place * tileEntries, norms.pointer + firstEntry, width, Int32(firstEntry),
              &least[place], index)
          }
        }
      }
    }
    return indices
  }

  /// The entries at `indices`, as a tensor of `shape` [..., length].
  public func lookUp(_ indices: [Int32], shape: [Int]) -> Tensor {
    let length = length
    let result = Tensor(uninitialized: shape)
    precondition(
      result.count == indices.count * length, "\(indices.count) entries do not fill shape \(shape)")
    let table = codebook
    ThreadPool.current.forEachRange(of: indices.count, grain: max(1, 1 << 15 / length)) { range in
      for i in range {
        let entry = Int(indices[i])
        precondition(entry >= 0 && entry < entries, "there is no entry \(entry) in a codebook of \(entries)")
        (result.pointer + i * length).update(from: table.pointer + entry * length, count: length)
      }
    }
    return result
  }

  /// Adds vectors and the entries they went to into `statistics`.
  private func gather(_ z: Tensor, _ indices: [Int32]) {
    let (entries, length) = (entries, length)
    // Vectors in the order of their entries, so that each entry sums its own, in their order, on one thread.
    var starts = [Int](repeating: 0, count: entries + 1)
    for entry in indices { starts[Int(entry) + 1] += 1 }
    for entry in 0..<entries { starts[entry + 1] += starts[entry] }
    var next = starts
    var order = [Int](repeating: 0, count: indices.count)
    for (i, entry) in indices.enumerated() {
      order[next[Int(entry)]] = i
      next[Int(entry)] += 1
    }
    let counts = statistics.pointer
    let sums = statistics.pointer + entries
    ThreadPool.current.forEachRange(of: entries, grain: 64) { range in
      for entry in range where starts[entry] < starts[entry + 1] {
        counts[entry] += Double(starts[entry + 1] - starts[entry])
        if learning == .gradient { continue }
        for place in starts[entry]..<starts[entry + 1] {
          peco_add_to_double(sums + entry * length, z.pointer + order[place] * length, length)
        }
      }
    }
  }

  /// How evenly the entries were used in what `statistics` has gathered.
  public var usage: CodebookUsage {
    CodebookUsage(counts: UnsafeBufferPointer(start: statistics.pointer, count: entries))
  }

  /// Moves the averages by what `statistics` has gathered, computes the entries anew, unless they learn by gradient, and
  /// clears the statistics; once an optimizer step, after ranks have summed theirs.
  public func update() {
    let (entries, decay) = (entries, decay)
    let (sizes, counts) = (clusterSize.value.pointer, statistics.pointer)
    var total = 0.0
    for entry in 0..<entries {
      sizes[entry] = decay * sizes[entry] + (1 - decay) * Float(counts[entry])
      total += Double(sizes[entry])
    }
    if let embeddingAverage { follow(embeddingAverage.value, total: total) }
    statistics.clear()
  }

  /// Moves the averages of vectors, and makes entries of them.
  private func follow(_ average: Tensor, total: Double) {
    let (entries, length, decay) = (entries, length, decay)
    let (sizes, averages) = (clusterSize.value.pointer, average.pointer)
    let (sums, codebook) = (statistics.pointer + entries, embedding.value.pointer)
    let smoothing = total / (total + Double(entries) * Double(epsilon))
    ThreadPool.current.forEachRange(of: entries, grain: 64) { range in
      for entry in range {
        let average = averages + entry * length
        peco_scale(average, average, decay, length)
        peco_add_scaled_double(average, sums + entry * length, 1 - decay, length)
        // An entry that has no vectors stays where it is.
        guard sizes[entry] > 0 else { continue }
        let size = (Double(sizes[entry]) + Double(epsilon)) * smoothing
        peco_scale(codebook + entry * length, average, Float(1 / size), length)
      }
    }
    if isNormalized { embedding.value.copyElements(from: unitChannels(embedding.value)) }
  }

  /// The entries that have fallen out of use: fewer than `threshold` vectors a step, on average.
  public func deadEntries(below threshold: Float) -> [Int] {
    (0..<entries).filter { clusterSize.value.pointer[$0] < threshold }
  }

  /// Lets entries count as fallen out of use. They stay where they are until vectors choose them, or they are replaced.
  public func retire(entries retired: [Int]) {
    for entry in retired {
      precondition(entry >= 0 && entry < entries, "there is no entry \(entry) in a codebook of \(entries)")
      clusterSize.value.pointer[entry] = 0
      if let embeddingAverage {
        (embeddingAverage.value.pointer + entry * length).update(repeating: 0, count: length)
      }
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
    let vectors = isNormalized ? unitChannels(vectors.reshaped([revived.count, length]).detached) : vectors
    for (place, entry) in revived.enumerated() {
      precondition(entry >= 0 && entry < entries, "there is no entry \(entry) in a codebook of \(entries)")
      let vector = vectors.pointer + place * length
      (embedding.value.pointer + entry * length).update(from: vector, count: length)
      clusterSize.value.pointer[entry] = size
      if let embeddingAverage {
        peco_scale(embeddingAverage.value.pointer + entry * length, vector, size, length)
      }
    }
  }
}

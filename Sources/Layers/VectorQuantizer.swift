import CKernels
import Foundation
import Tensors

/// How evenly the words of a codebook were used.
public struct CodebookUsage: Sendable, Equatable {
  /// exp of the entropy of the words' shares: the number of words that would be as diverse if used equally.
  public let perplexity: Float
  /// Share of the words that were used at least once.
  public let usedShare: Float

  /// The usage that counts of words tell.
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

/// A codebook that replaces vectors by the nearest of its words and learns by exponential moving averages
/// (van den Oord et al., 1711.00937, appendix A.1; Razavi et al., 1906.00446), or by the gradient of its own loss
/// (the same, equation 3).
///
/// In training each optimizer step goes: forward on every micro-batch, which adds to `statistics`; their sum over
/// ranks; `update`. All ranks then hold the same words.
public final class VectorQuantizer {
  /// What words follow.
  public enum Learning: String, Sendable, Codable, CaseIterable {
    /// Exponential moving averages of the vectors that chose them.
    case movingAverage = "ema"
    /// The gradient of ‖sg[z] − e‖², by the optimizer.
    case gradient
  }

  /// What quantizing gives.
  public struct Output {
    /// The nearest words, shaped as the input. Gradients pass straight through to the input.
    public let quantized: Tensor
    /// The commitment loss, mean (z − word)² with the word held fixed; a scalar without its weight.
    public let commitment: Tensor
    /// The codebook's loss, mean (z − word)² with z held fixed, where words learn by gradient.
    public let codebookLoss: Tensor?
    /// The index of the nearest word for each vector.
    public let indices: [Int32]
  }

  /// The words, [words, length].
  public let embedding: Parameter
  /// Moving average of how many vectors a step go to each word, [words].
  public let clusterSize: Parameter
  /// Moving average of the sum of the vectors that go to each word, [words, length]; nil where words learn by gradient.
  public let embeddingAverage: Parameter?
  /// What this step has gathered so far, in one buffer that ranks sum: [words] counts, then [words, length] sums, which
  /// words that learn by gradient do without.
  public let statistics: DoubleSum
  /// What words follow.
  public let learning: Learning
  /// Whether vectors and words are compared and used at length 1, as ViT-VQGAN does (Yu et al., 2110.04627, section
  /// 3.2).
  public let isNormalized: Bool
  /// How much of the averages a step keeps.
  public let decay: Float
  /// Laplace smoothing of the cluster sizes.
  public let epsilon: Float

  /// Number of words.
  public var words: Int { embedding.shape[0] }
  /// Length of a word.
  public var length: Int { embedding.shape[1] }

  /// A codebook of `words` words of `length`, at first drawn from a normal distribution.
  public init(
    words: Int, length: Int, decay: Float = 0.99, epsilon: Float = 1e-5, learning: Learning = .movingAverage,
    normalized: Bool = false, in scope: ParameterScope
  ) {
    embedding =
      learning == .gradient
      ? scope.parameter("embedding", [words, length], .normal(1), decayed: false)
      : scope.state("embedding", [words, length], .normal(1))
    if normalized { embedding.value.copyElements(from: unitChannels(embedding.value)) }
    // A size of 1 with the sum of one vector: words start as their own average, and die out if unused.
    clusterSize = scope.state("cluster_size", [words], .ones)
    embeddingAverage =
      learning == .gradient ? nil : scope.state("embedding_average", [words, length], .zeros)
    embeddingAverage?.value.copyElements(from: embedding.value)
    statistics = DoubleSum(count: words * (learning == .gradient ? 1 : 1 + length))
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
    let words = learning == .gradient ? trainedWords(indices, alongside: z) : lookUp(indices, shape: z.shape)
    let quantized = Tape.record(words.detached, from: [z]) { dy in z.addGradient(dy) }
    return Output(
      quantized: quantized, commitment: meanSquaredError(z, words.detached),
      codebookLoss: learning == .gradient ? meanSquaredError(words, z.detached) : nil, indices: indices)
  }

  /// The index of the nearest word for each vector of `z` [..., length]; the lowest where several are as near.
  public func nearest(_ z: Tensor) -> [Int32] { search(isNormalized ? unitChannels(z.detached) : z) }

  /// The words as they are compared and used. Those that follow averages are kept at length 1 where it is asked for,
  /// those that follow gradients go where the optimizer takes them.
  private var codebook: Tensor {
    isNormalized && learning == .gradient ? unitChannels(embedding.value) : embedding.value
  }

  /// The words at `indices`, shaped as `z` and on its tape: gradients flow into the embedding.
  private func trainedWords(_ indices: [Int32], alongside z: Tensor) -> Tensor {
    let rows = Embedding(embedding)(indices, alongside: z).reshaped(z.shape)
    return isNormalized ? unitChannels(rows) : rows
  }

  private func search(_ z: Tensor) -> [Int32] {
    precondition(z.shape.last == length, "vectors of \(length) are expected, not shape \(z.shape)")
    let (words, length) = (words, length)
    let count = z.count / length
    let table = codebook
    let norms = Tensor(uninitialized: [words])
    ThreadPool.shared.forEachRange(of: words, grain: max(1, 1 << 15 / length)) { range in
      for word in range {
        norms.pointer[word] = Float(peco_sum_of_squares(table.pointer + word * length, length))
      }
    }
    var indices = [Int32](repeating: -1, count: count)
    // ‖z − e‖² less the constant ‖z‖² is ‖e‖² − 2z·e: tiles of that which stay in cache, least ones taken at once.
    let (tileRows, tileWords) = (64, 1024)
    indices.withUnsafeMutableBufferPointer { indices in
      ThreadPool.shared.forEach((count + tileRows - 1) / tileRows) { [indices] tile in
        let rows = tile * tileRows..<min((tile + 1) * tileRows, count)
        let scores = Tensor(uninitialized: [tileRows, tileWords])
        var least = [Float](repeating: .infinity, count: tileRows)
        for firstWord in stride(from: 0, to: words, by: tileWords) {
          let width = min(tileWords, words - firstWord)
          MatrixMultiply.serial(
            rows.count, width, length, MatrixView(z.pointer + rows.lowerBound * length, stride: length),
            MatrixView(table.pointer + firstWord * length, stride: length, transposed: true),
            into: MatrixView(scores.pointer, stride: tileWords), alpha: -2)
          for (place, row) in rows.enumerated() {
            guard let index = indices.baseAddress?.advanced(by: row) else { continue }
            peco_least_biased(
              scores.pointer + place * tileWords, norms.pointer + firstWord, width, Int32(firstWord),
              &least[place], index)
          }
        }
      }
    }
    return indices
  }

  /// The words at `indices`, as a tensor of `shape` [..., length].
  public func lookUp(_ indices: [Int32], shape: [Int]) -> Tensor {
    let length = length
    let result = Tensor(uninitialized: shape)
    precondition(result.count == indices.count * length, "\(indices.count) words do not fill shape \(shape)")
    let table = codebook
    ThreadPool.shared.forEachRange(of: indices.count, grain: max(1, 1 << 15 / length)) { range in
      for i in range {
        let word = Int(indices[i])
        precondition(word >= 0 && word < words, "there is no word \(word) in a codebook of \(words)")
        (result.pointer + i * length).update(from: table.pointer + word * length, count: length)
      }
    }
    return result
  }

  /// Adds vectors and the words they went to into `statistics`.
  private func gather(_ z: Tensor, _ indices: [Int32]) {
    let (words, length) = (words, length)
    // Vectors in the order of their words, so that each word sums its own, in their order, on one thread.
    var starts = [Int](repeating: 0, count: words + 1)
    for word in indices { starts[Int(word) + 1] += 1 }
    for word in 0..<words { starts[word + 1] += starts[word] }
    var next = starts
    var order = [Int](repeating: 0, count: indices.count)
    for (i, word) in indices.enumerated() {
      order[next[Int(word)]] = i
      next[Int(word)] += 1
    }
    let counts = statistics.pointer
    let sums = statistics.pointer + words
    ThreadPool.shared.forEachRange(of: words, grain: 64) { range in
      for word in range where starts[word] < starts[word + 1] {
        counts[word] += Double(starts[word + 1] - starts[word])
        if learning == .gradient { continue }
        for place in starts[word]..<starts[word + 1] {
          peco_add_to_double(sums + word * length, z.pointer + order[place] * length, length)
        }
      }
    }
  }

  /// How evenly the words were used in what `statistics` has gathered.
  public var usage: CodebookUsage {
    CodebookUsage(counts: UnsafeBufferPointer(start: statistics.pointer, count: words))
  }

  /// Moves the averages by what `statistics` has gathered, computes the words anew, unless they learn by gradient, and
  /// clears the statistics; once an optimizer step, after ranks have summed theirs.
  public func update() {
    let (words, decay) = (words, decay)
    let (sizes, counts) = (clusterSize.value.pointer, statistics.pointer)
    var total = 0.0
    for word in 0..<words {
      sizes[word] = decay * sizes[word] + (1 - decay) * Float(counts[word])
      total += Double(sizes[word])
    }
    if let embeddingAverage { follow(embeddingAverage.value, total: total) }
    statistics.clear()
  }

  /// Moves the averages of vectors, and makes words of them.
  private func follow(_ average: Tensor, total: Double) {
    let (words, length, decay) = (words, length, decay)
    let (sizes, averages) = (clusterSize.value.pointer, average.pointer)
    let (sums, codebook) = (statistics.pointer + words, embedding.value.pointer)
    let smoothing = total / (total + Double(words) * Double(epsilon))
    ThreadPool.shared.forEachRange(of: words, grain: 64) { range in
      for word in range {
        let average = averages + word * length
        peco_scale(average, average, decay, length)
        peco_add_scaled_double(average, sums + word * length, 1 - decay, length)
        // A word that has no vectors stays where it is.
        guard sizes[word] > 0 else { continue }
        let size = (Double(sizes[word]) + Double(epsilon)) * smoothing
        peco_scale(codebook + word * length, average, Float(1 / size), length)
      }
    }
    if isNormalized { embedding.value.copyElements(from: unitChannels(embedding.value)) }
  }

  /// The words that have fallen out of use: fewer than `threshold` vectors a step, on average.
  public func deadWords(below threshold: Float) -> [Int] {
    (0..<words).filter { clusterSize.value.pointer[$0] < threshold }
  }

  /// Lets words count as fallen out of use. They stay where they are until vectors choose them, or they are replaced.
  public func retire(words retired: [Int]) {
    for word in retired {
      precondition(word >= 0 && word < words, "there is no word \(word) in a codebook of \(words)")
      clusterSize.value.pointer[word] = 0
      if let embeddingAverage {
        (embeddingAverage.value.pointer + word * length).update(repeating: 0, count: length)
      }
    }
  }

  /// Replaces `words` by `vectors` [words, length], one each, as if each had `clusterSize` vectors a step.
  ///
  /// Encoder outputs that take the place of dead words bring them back into use; those of a first batch in the
  /// place of all words are where k-means starts. Every rank passes the same vectors.
  public func revive(words revived: [Int], with vectors: Tensor, clusterSize size: Float = 1) {
    precondition(
      vectors.count == revived.count * length,
      "\(revived.count) words take as many vectors of \(length), not shape \(vectors.shape)")
    let vectors = isNormalized ? unitChannels(vectors.reshaped([revived.count, length]).detached) : vectors
    for (place, word) in revived.enumerated() {
      precondition(word >= 0 && word < words, "there is no word \(word) in a codebook of \(words)")
      let vector = vectors.pointer + place * length
      (embedding.value.pointer + word * length).update(from: vector, count: length)
      clusterSize.value.pointer[word] = size
      if let embeddingAverage {
        peco_scale(embeddingAverage.value.pointer + word * length, vector, size, length)
      }
    }
  }
}

import Foundation

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

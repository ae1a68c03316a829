import Foundation
import ImageOperations
import Tensors

/// Mixes images in pairs: mixup (Zhang et al., 1710.09412) and CutMix (Yun et al., 1905.04899), as timm's `Mixup` in
/// its mode `pair`.
///
/// timm's usual mode draws once for a whole batch and mixes each image with the one at the mirrored place, so that a
/// result depends on how the batch is split. Here neighbors in the order of the global batch make a pair, and each
/// pair has a draw of its own, keyed by the step and its first sample: micro-batches of even size see the same pairs on
/// any number of ranks.
public struct Mixup: Sendable, Equatable {
  /// Both parameters of the beta distribution that mixup's share comes from; 0 leaves mixup out.
  public var mixupAlpha: Double
  /// The same of CutMix.
  public var cutmixAlpha: Double
  /// How often a pair is mixed at all.
  public var probability: Float
  /// How often it is by CutMix, where both are in use.
  public var switchProbability: Float
  /// The seed of all draws.
  public var seed: UInt64

  public init(
    mixupAlpha: Double = 0.8, cutmixAlpha: Double = 1, probability: Float = 1, switchProbability: Float = 0.5,
    seed: UInt64
  ) {
    self.mixupAlpha = mixupAlpha
    self.cutmixAlpha = cutmixAlpha
    self.probability = probability
    self.switchProbability = switchProbability
    self.seed = seed
  }

  /// Whether anything is mixed.
  public var isActive: Bool { (mixupAlpha > 0 || cutmixAlpha > 0) && probability > 0 }

  /// What becomes of a pair.
  public typealias Draw = PairMix

  /// The draw of the pair whose first image is the dataset's `sample`, for images of `size`².
  public func draw(step: Int, sample: Int, size: Int) -> Draw {
    var stream = RandomStream(seed: seed, purpose: .mixup, time: step, index: sample)
    let isMixed = stream.uniform() < probability
    let isSwitched = stream.uniform() < switchProbability
    guard isMixed, isActive else { return .unchanged }
    guard cutmixAlpha > 0, isSwitched || mixupAlpha <= 0 else {
      return .blend(share: Float(stream.beta(mixupAlpha)))
    }
    let side = Int(Double(size) * (1 - stream.beta(cutmixAlpha)).squareRoot())
    func range() -> Range<Int> {
      let center = stream.integer(below: size)
      return max(0, center - side / 2)..<min(size, center + (side + 1) / 2)
    }
    let rows = range()
    return .exchange(rows: rows, columns: range())
  }

  /// Mixes neighbors: 0 with 1, 2 with 3, and so on.
  ///
  /// - Parameters:
  ///   - images: [B, size, size, 3]; B even.
  ///   - step: The step, from 0, that the draws belong to.
  ///   - samples: Their indices in the dataset.
  /// - Returns: The mixed images, and of each the share that is its own.
  public func callAsFunction(
    _ images: Tensor, step: Int, samples: [Int]
  ) -> (images: Tensor, shares: [Float]) {
    let size = images.shape[1]
    return Self.mix(
      images,
      stride(from: 0, to: samples.count, by: 2).map { draw(step: step, sample: samples[$0], size: size) })
  }

  /// Mixes neighbors as has been drawn for each pair.
  public static func mix(_ images: Tensor, _ draws: [Draw]) -> (images: Tensor, shares: [Float]) {
    let size = images.shape[1]
    let shares = draws.flatMap { draw -> [Float] in
      switch draw {
      case .unchanged: return [1, 1]
      case .blend(let share): return [share, share]
      case .exchange(let rows, let columns):
        let share = 1 - Float(rows.count * columns.count) / Float(size * size)
        return [share, share]
      }
    }
    return (mixPairs(images, draws), shares)
  }

  /// The class distributions of mixed images, [B, classes], smoothed by `smoothing`; `shares` nil for
  /// images that are whole.
  public static func targets(
    labels: [Int32], shares: [Float]?, classes: Int, smoothing: Float
  ) -> Tensor {
    var targets = [Float](repeating: smoothing / Float(classes), count: labels.count * classes)
    for (row, label) in labels.enumerated() {
      let share = shares?[row] ?? 1
      targets[row * classes + Int(label)] += (1 - smoothing) * share
      if share < 1 { targets[row * classes + Int(labels[row ^ 1])] += (1 - smoothing) * (1 - share) }
    }
    return Tensor(targets, shape: [labels.count, classes])
  }
}

extension RandomStream {
  /// Beta distributed with both parameters `alpha`.
  mutating func beta(_ alpha: Double) -> Double {
    let (x, y) = (logGamma(alpha), logGamma(alpha))
    return 1 / (1 + exp(y - x))
  }

  /// The logarithm of a draw from the gamma distribution of shape `alpha` and scale 1, which itself is too small a
  /// number where `alpha` is.
  private mutating func logGamma(_ alpha: Double) -> Double {
    guard alpha < 1 else { return log(gamma(alpha)) }
    let u = Double(nextWord() >> 8) * 0x1p-24 + 0x1p-25
    return log(gamma(alpha + 1)) + log(u) / alpha
  }

  /// Gamma distributed with shape `alpha`, at least 1, and scale 1 (Marsaglia and Tsang, 2000).
  private mutating func gamma(_ alpha: Double) -> Double {
    let d = alpha - 1.0 / 3
    let c = 1 / (9 * d).squareRoot()
    while true {
      let x = Double(normal())
      let cube = 1 + c * x
      guard cube > 0 else { continue }
      let v = cube * cube * cube
      let u = Double(nextWord() >> 8) * 0x1p-24 + 0x1p-25
      if log(u) < 0.5 * x * x + d - d * v + d * log(v) { return d * v }
    }
  }
}

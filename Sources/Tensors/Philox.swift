import Foundation
import Hashing

/// The counter-based generator Philox4x32-10 (Salmon et al., "Parallel Random Numbers: As Easy as 1, 2, 3",
/// 2011): 128 random bits as a pure function of a 64-bit key and a 128-bit counter.
public struct Philox: Sendable {
  private let key: (UInt32, UInt32)

  /// The generator of a key.
  public init(key: UInt64) {
    self.key = (UInt32(truncatingIfNeeded: key), UInt32(truncatingIfNeeded: key >> 32))
  }

  /// The four words at a counter.
  public func callAsFunction(_ counter: SIMD4<UInt32>) -> SIMD4<UInt32> {
    var (x, k0, k1) = (counter, key.0, key.1)
    for _ in 0..<10 {
      let first = UInt64(0xD251_1F53) * UInt64(x[0])
      let second = UInt64(0xCD9E_8D57) * UInt64(x[2])
      x = SIMD4(
        UInt32(truncatingIfNeeded: second >> 32) ^ x[1] ^ k0, UInt32(truncatingIfNeeded: second),
        UInt32(truncatingIfNeeded: first >> 32) ^ x[3] ^ k1, UInt32(truncatingIfNeeded: first))
      k0 &+= 0x9E37_79B9
      k1 &+= 0xBB67_AE85
    }
    return x
  }
}

/// What a random draw is for. Draws for different purposes never share a counter.
public struct RandomPurpose: Hashable, Sendable {
  /// Stands in the counter, in sixteen bits.
  public let rawValue: UInt32

  private init(_ rawValue: UInt32) { self.rawValue = rawValue }

  /// A purpose of a task of one's own: another number for each.
  public static func own(_ number: UInt8) -> RandomPurpose { RandomPurpose(0x8000 | UInt32(number)) }

  public static let initialWeight = RandomPurpose(1)
  public static let order = RandomPurpose(2)
  public static let crop = RandomPurpose(3)
  public static let flip = RandomPurpose(4)
  public static let colorJitter = RandomPurpose(5)
  public static let mask = RandomPurpose(6)
  public static let dropPath = RandomPurpose(7)
  public static let revival = RandomPurpose(8)
  public static let synthesis = RandomPurpose(9)
  public static let view = RandomPurpose(10)
  public static let test = RandomPurpose(11)
  public static let colorChange = RandomPurpose(32)
  public static let grayscale = RandomPurpose(33)
  public static let blur = RandomPurpose(34)
  public static let solarize = RandomPurpose(35)
  public static let evaluation = RandomPurpose(36)
  public static let mixup = RandomPurpose(48)
  public static let labels = RandomPurpose(49)
  public static let randAugment = RandomPurpose(50)
  public static let erasing = RandomPurpose(51)
  public static let probe = RandomPurpose(52)
  /// The noise that turns a dVAE's logits into samples of tokens.
  public static let gumbel = RandomPurpose(64)
  /// What a figure shows.
  public static let figure = RandomPurpose(80)
}

/// A stream of random numbers that belongs to one purpose, one epoch or step, and one sample, and to nothing
/// else: not to a rank, a thread or a moment.
public struct RandomStream: RandomNumberGenerator, Sendable {
  private let philox: Philox
  private var counter: SIMD4<UInt32>
  private var block = SIMD4<UInt32>()
  private var used = 4

  /// The stream of `seed` and `purpose` for the epoch or step `time` and the sample `index`.
  ///
  /// - Parameters:
  ///   - seed: The seed of the run.
  ///   - purpose: What the draws are for.
  ///   - time: The epoch or step, from 0.
  ///   - index: The sample's index in the dataset.
  ///   - view: Which of several views of the sample, from 0.
  public init(seed: UInt64, purpose: RandomPurpose, time: Int = 0, index: Int = 0, view: Int = 0) {
    philox = Philox(key: seed)
    counter = SIMD4(
      0, UInt32(truncatingIfNeeded: view) << 16 | purpose.rawValue, UInt32(truncatingIfNeeded: time),
      UInt32(truncatingIfNeeded: index))
  }

  /// The stream of `seed` and `purpose` for something that has a name, such as a parameter.
  public init(seed: UInt64, purpose: RandomPurpose, name: String) {
    // FNV-1a, because Swift's own hash differs from run to run.
    let hash = FNV1a.hash(name.utf8)
    self.init(seed: seed, purpose: purpose, time: Int(hash >> 32), index: Int(hash & 0xFFFF_FFFF))
  }

  /// The next 32 random bits.
  public mutating func nextWord() -> UInt32 {
    if used == 4 {
      block = philox(counter)
      counter[0] &+= 1
      used = 0
    }
    defer { used += 1 }
    return block[used]
  }

  /// The next 64 random bits.
  public mutating func next() -> UInt64 {
    let low = nextWord()
    return UInt64(nextWord()) << 32 | UInt64(low)
  }

  /// Uniform in [0, 1), in steps of 2⁻²⁴.
  public mutating func uniform() -> Float { Float(nextWord() >> 8) * 0x1p-24 }

  /// Uniform in [low, high).
  public mutating func uniform(_ low: Float, _ high: Float) -> Float { low + (high - low) * uniform() }

  /// Uniform in 0..<bound.
  public mutating func integer(below bound: Int) -> Int {
    // Lemire's multiply-shift over 64 bits: a bias of less than 2⁻³² for any bound that fits 32 bits.
    Int(next().multipliedFullWidth(by: UInt64(bound)).high)
  }

  /// Standard normal (Box and Muller's method).
  public mutating func normal() -> Float {
    let radius = (-2 * log(1 - Double(nextWord() >> 8) * 0x1p-24)).squareRoot()
    return Float(radius * cos(2 * Double.pi * Double(nextWord() >> 8) * 0x1p-24))
  }

  /// Normal with deviation `deviation`, drawn again until it lies within `bound` deviations.
  public mutating func truncatedNormal(deviation: Float, bound: Float) -> Float {
    while true {
      let draw = normal()
      if abs(draw) <= bound { return draw * deviation }
    }
  }

  /// A random permutation of 0..<count (Fisher and Yates).
  public mutating func permutation(_ count: Int) -> [Int] {
    var order = Array(0..<count)
    for i in stride(from: count - 1, to: 0, by: -1) { order.swapAt(i, integer(below: i + 1)) }
    return order
  }
}

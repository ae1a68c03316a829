import Tensors
import TestSupport
import Testing

@Suite struct PhiloxTests {
  /// The known answers that the authors' Random123 library publishes for philox4x32-10.
  @Test(arguments: [
    (
      SIMD4<UInt32>(repeating: 0), UInt64(0),
      SIMD4<UInt32>(0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8)
    ),
    (
      SIMD4<UInt32>(repeating: .max), UInt64.max,
      SIMD4<UInt32>(0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd)
    ),
    (
      SIMD4<UInt32>(0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344), UInt64(0x299f_31d0_a409_3822),
      SIMD4<UInt32>(0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1)
    ),
  ])
  func knownAnswers(counter: SIMD4<UInt32>, key: UInt64, expected: SIMD4<UInt32>) {
    #expect(Philox(key: key)(counter) == expected)
  }

  @Test func aStreamReadsTheGeneratorInOrder() {
    var stream = RandomStream(seed: 42, purpose: .crop, time: 7, index: 9)
    let generator = Philox(key: 42)
    for block in 0..<3 {
      let words = generator(SIMD4(UInt32(block), RandomPurpose.crop.rawValue, 7, 9))
      for i in 0..<4 { #expect(stream.nextWord() == words[i]) }
    }
  }

  @Test func streamsDiffer() {
    var first: Set<UInt64> = []
    for seed in [UInt64(0), 1] {
      for purpose in [RandomPurpose.order, .mask] {
        for time in 0..<3 {
          for index in 0..<3 {
            var stream = RandomStream(seed: seed, purpose: purpose, time: time, index: index)
            first.insert(stream.next())
          }
        }
      }
    }
    #expect(first.count == 36)
  }

  private func moments(_ count: Int, _ draw: () -> Float) -> (mean: Double, deviation: Double) {
    let draws = (0..<count).map { _ in Double(draw()) }
    let mean = draws.reduce(0, +) / Double(count)
    return (mean, (draws.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(count)).squareRoot())
  }

  @Test func distributionsHaveTheirMoments() {
    var stream = RandomStream(seed: 1, purpose: .test)
    let count = 200_000
    let uniform = moments(count) { stream.uniform(-1, 3) }
    #expect(abs(uniform.mean - 1) < 0.02 && abs(uniform.deviation - 4 / 12.0.squareRoot()) < 0.01)
    let normal = moments(count) { stream.normal() }
    #expect(abs(normal.mean) < 0.01 && abs(normal.deviation - 1) < 0.01)
    // A normal distribution cut at one deviation has the deviation 0.5396.
    let cut = moments(count) { stream.truncatedNormal(deviation: 2, bound: 1) }
    #expect(abs(cut.mean) < 0.02 && abs(cut.deviation - 2 * 0.5396) < 0.01)
  }

  @Test func drawsStayInTheirRanges() {
    var stream = RandomStream(seed: 2, purpose: .test)
    var counts = [Int](repeating: 0, count: 7)
    for _ in 0..<7_000 {
      counts[stream.integer(below: 7)] += 1
      let uniform = stream.uniform()
      #expect(uniform >= 0 && uniform < 1)
      #expect(abs(stream.truncatedNormal(deviation: 0.5, bound: 2)) <= 1)
    }
    #expect(counts.allSatisfy { $0 > 850 && $0 < 1150 })
    #expect(stream.integer(below: 1) == 0)
  }

  @Test func permutationsHaveEveryElementOnce() {
    var stream = RandomStream(seed: 3, purpose: .order)
    let order = stream.permutation(1_000)
    #expect(order.sorted() == Array(0..<1_000))
    #expect(order != Array(0..<1_000))
    #expect(stream.permutation(0).isEmpty && stream.permutation(1) == [0])
    // Each of the 6 orders of three about as often.
    var counts: [[Int]: Int] = [:]
    for _ in 0..<6_000 { counts[stream.permutation(3), default: 0] += 1 }
    #expect(counts.count == 6 && counts.values.allSatisfy { $0 > 850 && $0 < 1150 })
  }
}

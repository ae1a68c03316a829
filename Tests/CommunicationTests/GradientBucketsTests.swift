import Communication
import Testing

@Suite("Gradient buckets")
struct GradientBucketsTests {
  @Test("take whole parameters up to their size, and the last may be smaller")
  func cut() {
    let buckets = GradientBuckets(parameters: [0..<4, 4..<8, 8..<10, 10..<13, 13..<14], capacity: 8)
    #expect(buckets.ranges == [0..<8, 8..<14])
    #expect(buckets.parameters == [0..<2, 2..<5])
  }

  @Test("never split a parameter, even one larger than a bucket")
  func largeParameter() {
    let buckets = GradientBuckets(parameters: [0..<2, 2..<100, 100..<101, 101..<102], capacity: 4)
    #expect(buckets.ranges == [0..<2, 2..<100, 100..<102])
  }

  @Test("count the gaps between parameters, and leave gaps between buckets out")
  func gaps() {
    let buckets = GradientBuckets(parameters: [0..<3, 16..<19, 32..<35], capacity: 19)
    #expect(buckets.ranges == [0..<19, 32..<35])
  }

  @Test("of nothing are none")
  func empty() {
    #expect(GradientBuckets(parameters: [], capacity: 1).ranges.isEmpty)
  }
}

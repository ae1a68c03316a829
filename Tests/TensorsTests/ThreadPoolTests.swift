import Foundation
import Tensors
import TestSupport
import Testing

@Suite struct ThreadPoolTests {
  init() { useSeveralThreads() }

  private let pool = { () -> ThreadPool in
    useSeveralThreads()
    return ThreadPool.current
  }()

  @Test(arguments: [0, 1, 2, 3, 7, 100, 1001])
  func rangesCoverEachIndexOnce(count: Int) {
    let lock = NSLock()
    var visits = [Int](repeating: 0, count: count)
    var ranges: [Int: Range<Int>] = [:]
    pool.forEachIndexedRange(of: count, grain: 2) { index, range in
      lock.withLock {
        ranges[index] = range
        for i in range { visits[i] += 1 }
      }
    }
    #expect(visits.allSatisfy { $0 == 1 })
    #expect(ranges.count <= pool.rangeCount(of: count, grain: 2))
    let inOrder = ranges.sorted { $0.key < $1.key }.map(\.value)
    #expect(zip(inOrder, inOrder.dropFirst()).allSatisfy { $0.upperBound == $1.lowerBound })
  }

  @Test func smallWorkIsNotCut() {
    #expect(pool.threadCount == 3)
    #expect(pool.rangeCount(of: 100, grain: 60) == 1)
    #expect(pool.rangeCount(of: 100, grain: 50) == 2)
    #expect(pool.rangeCount(of: 10) == 10)
    #expect(pool.rangeCount(of: 1000) == 32)
    #expect(pool.rangeCount(of: 0) == 1)
  }

  @Test func manyShortCallsAllFinish() {
    let lock = NSLock()
    var sum = 0
    for round in 0..<3_000 { pool.forEach(4) { index in lock.withLock { sum += round * index } } }
    #expect(sum == 6 * 3_000 * 2_999 / 2)
  }

  @Test func callsFromInsideATaskAndFromOtherThreadsFinish() async {
    let pool = pool
    let sums = await withTaskGroup(of: Int.self) { group in
      for _ in 0..<8 {
        group.addTask {
          let lock = NSLock()
          var sum = 0
          for _ in 0..<50 {
            pool.forEach(5) { outer in
              pool.forEachRange(of: 10) { range in lock.withLock { sum += range.reduce(0, +) + outer * 0 } }
            }
          }
          return sum
        }
      }
      return await group.reduce(into: []) { $0.append($1) }
    }
    #expect(sums == [Int](repeating: 50 * 5 * 45, count: 8))
  }
}

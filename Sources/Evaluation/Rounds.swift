import Communication
import Foundation
import Logging

extension Communicator {
  /// Computes something of each of `count` images in rounds, in which every rank has a stretch of them, and hands what
  /// all have computed to rank 0, in order. An error on any rank is all ranks'. Collective.
  ///
  /// - Parameters:
  ///   - stretch: Images of a rank in a round; what they give must fit into memory, on rank 0 that of all ranks.
  ///   - done: What has been done to images, for the log.
  ///   - compute: What a range of images gives.
  ///   - write: Takes what ranks have computed, on rank 0 alone, and the first image of it.
  package func forEachRound(
    of count: Int, stretch: Int, done: String = "", logger: Logger,
    compute: (Range<Int>) throws -> [UInt8], write: (_ parts: [[UInt8]], _ first: Int) throws -> Void
  ) throws {
    let start = ContinuousClock.now
    for first in Swift.stride(from: 0, to: count, by: stretch * size) {
      let own = first + stretch * rank
      let part = try agree { try compute(min(own, count)..<min(own + stretch, count)) }
      let parts = try gather(bytes: part)
      try agree { if let parts { try write(parts, first) } }
      let last = min(first + stretch * size, count)
      let rate = Double(last) / (start.duration(to: .now) / .seconds(1))
      logger.info("\(done)\(last) of \(count) images, \(String(format: "%.1f", rate)) images/s")
    }
  }
}

import Foundation

/// The transport of one process on its own: nothing is sent.
final class LocalTransport: Transport {
  let place = RankPlace(
    rank: 0, size: 1, localRank: 0, localSize: 1, hostname: nodeName(), isOnFirstNode: true)

  func allReduce(
    _ reduction: Reduction, _ values: UnsafeMutableRawPointer, count: Int, type: ScalarType
  ) {}

  func broadcast(_ values: UnsafeMutableRawPointer, count: Int, type: ScalarType, from root: Int) {}

  func allGather(
    _ mine: UnsafeRawPointer, count: Int, type: ScalarType, into all: UnsafeMutableRawPointer
  ) {
    all.copyMemory(from: mine, byteCount: count * type.stride)
  }

  func allGather(bytes: [UInt8], lengths: [Int]) -> [[UInt8]] { [bytes] }

  func gather(bytes: [UInt8], lengths: [Int], to root: Int) -> [[UInt8]]? { [bytes] }

  func barrier(unless isCancelled: (() -> Bool)?) -> Bool { true }

  func duplicate() -> any Transport { LocalTransport() }

  func close() {}

  func fail(_ error: any Error, exitCode: Int32) -> Never {
    reportFailure(error, place: place)
    abort(exitCode)
  }

  func abort(_ exitCode: Int32) -> Never {
    fflush(nil)
    exit(exitCode == 0 ? 1 : exitCode)
  }
}

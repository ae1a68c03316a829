import CKernels
import Foundation
import Synchronization
import Threads

/// The threads of an `ExecutionContext` that share the work of one operation.
///
/// Work is cut the same way whoever runs it; where ranges are summed up, it is cut by the number of elements alone, so
/// that a sum over ranges in order is the same on any number of threads. The calling thread takes part. A call from
/// inside a task, or while another thread has the pool, runs its ranges one after another.
///
/// Unchecked: the team changes at the start alone, while nothing is computed.
public final class ThreadPool: @unchecked Sendable {
  /// The pool of the calling thread's context.
  public static var current: ThreadPool { ExecutionContext.current.threads }

  /// The processors this process may run on.
  public static var availableProcessors: Int {
    let allowed = Int(peco_available_processors())
    return allowed > 0 ? allowed : ProcessInfo.processInfo.activeProcessorCount
  }

  /// The calling thread alone, which is always there.
  private let alone = ThreadTeam()
  /// Several threads, where there are.
  private var several: ThreadTeam?
  private var team: ThreadTeam { several ?? alone }

  init() {}

  deinit { several?.stop() }

  /// Number of threads, the calling one included.
  public var threadCount: Int { team.threadCount }

  /// Sets how many threads compute, at least one. Throws where the system does not give so many, and changes nothing
  /// then. For the start, before operations run on several threads.
  public func resize(to threads: Int) throws {
    guard max(threads, 1) != threadCount else { return }
    let successor = threads > 1 ? try ThreadTeam(threads: threads) : nil
    several?.stop()
    several = successor
  }

  /// Runs `body` for every index in `0..<count`, in any order and on any thread, and returns when all are done.
  public func forEach(_ count: Int, _ body: (Int) -> Void) { team.forEach(count, body) }

  /// Cuts `0..<count` into at most one range a thread, none shorter than `grain` but the last.
  public func forEachRange(of count: Int, grain: Int = 1, _ body: (Range<Int>) -> Void) {
    cut(count, into: max(1, min(threadCount, count / max(grain, 1)))) { _, range in body(range) }
  }

  /// As `forEachRange`, but cut alike on any number of threads: what the ranges sum up to, added in their order, is the
  /// same. Tells also which range it is, from 0 up to `rangeCount(of:grain:)`.
  public func forEachIndexedRange(of count: Int, grain: Int = 1, _ body: (Int, Range<Int>) -> Void) {
    cut(count, into: rangeCount(of: count, grain: grain), body)
  }

  private func cut(_ count: Int, into ranges: Int, _ body: (Int, Range<Int>) -> Void) {
    if ranges == 1 { return body(0, 0..<count) }
    forEach(ranges) { index in
      let start = count * index / ranges
      let end = count * (index + 1) / ranges
      if start < end { body(index, start..<end) }
    }
  }

  /// Into how many ranges `forEachIndexedRange` cuts.
  public func rangeCount(of count: Int, grain: Int = 1) -> Int {
    max(1, min(Self.mostIndexedRanges, count / max(grain, 1)))
  }

  /// Enough to share among the threads of a rank, few enough that adding up what they gave costs nothing.
  private static let mostIndexedRanges = 32

  /// Lets a thread that waits for the others sleep for good, because one of them does not come back.
  func abandon() { several?.abandon() }
}

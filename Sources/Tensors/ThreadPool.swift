import CKernels
import Foundation
import Synchronization
import Threads

/// The threads that share the work of one operation.
///
/// Work is cut the same way whoever runs it; where ranges are summed up, it is cut by the number of elements alone, so
/// that a sum over ranges in order is the same on any number of threads. The calling thread takes part. A call from
/// inside a task, or while another thread has the pool, runs its ranges one after another.
public final class ThreadPool: @unchecked Sendable {
  /// The pool that all operations use; one thread until `configure` is called.
  public private(set) nonisolated(unsafe) static var shared = ThreadPool()

  /// Sets how many threads operations use. Call once at the start, before any other thread computes. Throws where the
  /// system does not give so many.
  public static func configure(threads: Int) throws {
    guard threads != shared.threadCount else { return }
    let pool = try ThreadPool(threads: max(1, threads))
    shared.stop()
    shared = pool
  }

  /// The processors this process may run on.
  public static var availableProcessors: Int {
    let allowed = Int(peco_available_processors())
    return allowed > 0 ? allowed : ProcessInfo.processInfo.activeProcessorCount
  }

  /// Number of threads, the calling one included.
  public let threadCount: Int

  private typealias Task = (Int) -> Void
  private var task: Task = { _ in }
  private var taskCount = 0
  private let nextTask = Atomic<Int>(0)
  private let generation = Atomic<Int>(0)
  private let running = Atomic<Int>(0)
  private let busy = Atomic<Bool>(false)
  private let stopped = Atomic<Bool>(false)
  private let sleepers = NSCondition()

  /// The calling thread alone.
  private init() { threadCount = 1 }

  init(threads: Int) throws {
    threadCount = threads
    for index in 1..<max(threads, 1) {
      do {
        try WorkerThread.start("peco-compute-\(index)") { [self] in work() }
      } catch {
        stop()
        throw error
      }
    }
  }

  /// Runs `body` for every index in `0..<count`, in any order and on any thread, and returns when all are done.
  public func forEach(_ count: Int, _ body: (Int) -> Void) {
    guard count > 1, threadCount > 1,
      busy.compareExchange(expected: false, desired: true, ordering: .acquiring).exchanged
    else {
      for index in 0..<count { body(index) }
      return
    }
    withoutActuallyEscaping(body) { body in
      task = body
      taskCount = count
      nextTask.store(0, ordering: .relaxed)
      running.store(threadCount - 1, ordering: .relaxed)
      sleepers.lock()
      generation.add(1, ordering: .releasing)
      sleepers.broadcast()
      sleepers.unlock()
      takeTasks()
      var spins = 0
      while running.load(ordering: .acquiring) != 0 {
        spins += 1
        if spins > 2_000 { sched_yield() }
      }
      task = { _ in }
    }
    busy.store(false, ordering: .releasing)
  }

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

  private func takeTasks() {
    while true {
      let index = nextTask.add(1, ordering: .relaxed).oldValue
      if index >= taskCount { return }
      task(index)
    }
  }

  private func work() {
    var seen = 0
    while true {
      var spins = 0
      while generation.load(ordering: .acquiring) == seen {
        spins += 1
        // A few microseconds of spinning bridge the gap between two operations; longer waits must not
        // take the processor from loader threads or other ranks.
        if spins < 4_000 { continue }
        sleepers.lock()
        while generation.load(ordering: .acquiring) == seen { sleepers.wait() }
        sleepers.unlock()
      }
      seen += 1
      if stopped.load(ordering: .acquiring) { return }
      takeTasks()
      running.subtract(1, ordering: .releasing)
    }
  }

  /// Ends the threads; the pool is not used afterwards.
  func stop() {
    stopped.store(true, ordering: .releasing)
    sleepers.lock()
    generation.add(1, ordering: .releasing)
    sleepers.broadcast()
    sleepers.unlock()
  }
}

import Foundation
import Synchronization
import Threads

/// A number of threads that work on one job at a time, which the thread that brings it works on, too.
///
/// Unchecked: what the job is changes only while no thread works on one, which `busy`, `generation` and `running` tell.
final class ThreadTeam: @unchecked Sendable {
  /// Number of threads, the calling one included.
  let threadCount: Int

  private typealias Task = (Int) -> Void
  private var task: Task = { _ in }
  private var taskCount = 0
  /// The context of the thread that brought the job; its tasks are in it, too.
  private var context: ExecutionContext?
  private let nextTask = Atomic<Int>(0)
  private let generation = Atomic<Int>(0)
  private let running = Atomic<Int>(0)
  private let busy = Atomic<Bool>(false)
  private let stopped = Atomic<Bool>(false)
  private let isAbandoned = Atomic<Bool>(false)
  private let sleepers = NSCondition()

  /// The calling thread alone.
  init() { threadCount = 1 }

  /// Throws where the system does not give so many threads.
  init(threads: Int) throws {
    threadCount = threads
    for index in 1..<threads {
      do {
        try WorkerThread.start("peco-compute-\(index)") { [self] in work() }
      } catch {
        stop()
        throw error
      }
    }
  }

  /// Runs `body` for every index in `0..<count`, in any order and on any thread, and returns when all are done.
  func forEach(_ count: Int, _ body: (Int) -> Void) {
    guard count > 1, threadCount > 1,
      busy.compareExchange(expected: false, desired: true, ordering: .acquiring).exchanged
    else {
      for index in 0..<count { body(index) }
      return
    }
    withoutActuallyEscaping(body) { body in
      task = body
      taskCount = count
      context = ExecutionContext.current
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
        if spins > 2_000 {
          if isAbandoned.load(ordering: .relaxed) { sleepForever() }
          sched_yield()
        }
      }
      task = { _ in }
      context = nil
    }
    busy.store(false, ordering: .releasing)
  }

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
      if let context { ExecutionContext.$current.withValue(context) { takeTasks() } }
      running.subtract(1, ordering: .releasing)
    }
  }

  /// Ends the threads; the team is not used afterwards.
  func stop() {
    stopped.store(true, ordering: .releasing)
    sleepers.lock()
    generation.add(1, ordering: .releasing)
    sleepers.broadcast()
    sleepers.unlock()
  }

  /// Lets the thread that waits for the others sleep for good, because one of them does not come back.
  func abandon() { isAbandoned.store(true, ordering: .relaxed) }
}

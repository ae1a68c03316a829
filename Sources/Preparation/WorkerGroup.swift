import Foundation
import Synchronization
import Threads

/// Threads that do one job together: when one fails, all end, and the first error is passed on.
///
/// Unchecked: a condition guards everything that changes; `onFailure` may be called on any thread.
final class WorkerGroup: @unchecked Sendable {
  private let condition = NSCondition()
  private var running = 0
  private var failure: Error?
  /// Called, on whatever thread, when the job fails: wakes threads that wait for one another.
  private let onFailure: @Sendable () -> Void

  init(onFailure: @escaping @Sendable () -> Void = {}) { self.onFailure = onFailure }

  /// Whether a thread has failed or the job was given up, so that the others should end.
  var hasFailed: Bool {
    condition.lock()
    defer { condition.unlock() }
    return failure != nil
  }

  /// Starts a thread; where the system gives none, the job has failed.
  func start(_ name: String, _ body: @escaping @Sendable () throws -> Void) {
    condition.withLock { running += 1 }
    do {
      try WorkerThread.start(name) { [self] in
        do { try body() } catch { fail(error) }
        end()
      }
    } catch {
      fail(error)
      end()
    }
  }

  private func end() {
    condition.withLock {
      running -= 1
      condition.broadcast()
    }
  }

  /// Waits until all threads have ended; throws the first error.
  ///
  /// - Parameter onTick: Called a few times a second on the calling thread; may throw to give up.
  func wait(_ onTick: () throws -> Void) throws {
    condition.lock()
    while running > 0 {
      _ = condition.wait(until: Date().addingTimeInterval(0.2))
      if running > 0 {
        condition.unlock()
        do { try onTick() } catch { fail(error) }
        condition.lock()
      }
    }
    defer { condition.unlock() }
    if let failure { throw failure }
  }

  /// Runs `body` for every index in `0..<count` on `workers` threads, each with a context of its own.
  ///
  /// - Parameter onTick: Called a few times a second with how many are done; may throw to give up.
  static func forEach<Context>(
    _ count: Int, workers: Int, context: @escaping @Sendable () -> Context,
    _ body: @escaping @Sendable (Int, Context) throws -> Void, onTick: (Int) throws -> Void
  ) throws {
    let group = WorkerGroup()
    let counters = Counters()
    for worker in 0..<max(1, workers) {
      group.start("peco-worker-\(worker)") {
        let context = context()
        while !group.hasFailed {
          let index = counters.next.add(1, ordering: .relaxed).oldValue
          guard index < count else { return }
          try body(index, context)
          counters.done.add(1, ordering: .relaxed)
        }
      }
    }
    try group.wait { try onTick(counters.done.load(ordering: .relaxed)) }
  }

  private final class Counters: Sendable {
    let next = Atomic<Int>(0)
    let done = Atomic<Int>(0)
  }

  private func fail(_ error: Error) {
    condition.lock()
    let isFirst = failure == nil
    if isFirst { failure = error }
    condition.unlock()
    if isFirst { onFailure() }
  }
}

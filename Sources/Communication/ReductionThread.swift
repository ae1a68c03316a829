import Foundation
import Threads

/// The thread that sums buckets in order as they are released; asleep while there is nothing to sum.
///
/// Safe to share between threads: `condition` guards the state that changes. Only the thread itself calls
/// `reduce`, on buckets that backward has released.
final class ReductionThread: @unchecked Sendable {
  private let communicator: Communicator
  private let buckets: [Range<Int>]
  private let reduce: (Communicator, Range<Int>) throws -> Void

  /// Guards everything below, and wakes whoever waits for a change of it.
  private let condition = NSCondition()
  private var released = 0
  private var reduced = 0
  private var seconds = 0.0
  private var failure: (any Error)?
  private var isStopping = false
  private var isRunning = true

  /// Starts the thread, which sums buckets by `reduce` over the ranks of a communicator that is its alone. Throws where
  /// the system gives none.
  init(
    communicator: Communicator, buckets: [Range<Int>],
    reduce: @escaping (Communicator, Range<Int>) throws -> Void
  ) throws {
    self.communicator = communicator
    self.buckets = buckets
    self.reduce = reduce
    try WorkerThread.start("gradient reduction") { self.run() }
  }

  func begin() {
    condition.withLock {
      released = 0
      reduced = 0
      seconds = 0
    }
  }

  /// Lets the first `count` buckets be summed.
  func release(upTo count: Int) {
    condition.withLock {
      released = max(released, count)
      condition.broadcast()
    }
  }

  /// Waits until all buckets are summed; the seconds spent in reductions.
  func wait() throws -> Double {
    try condition.withLock {
      while reduced < buckets.count && failure == nil && isRunning { condition.wait() }
      if let failure { throw failure }
      guard reduced == buckets.count else {
        throw CommunicationError(
          "the gradient reducer was closed during a step", rank: communicator.rank,
          host: communicator.hostname)
      }
      return seconds
    }
  }

  /// Ends the thread and waits for that; within a step, where an error ended it on this rank alone, without
  /// waiting for the other ranks.
  func stop() {
    let isIdle = condition.withLock {
      isStopping = true
      condition.broadcast()
      while isRunning { condition.wait() }
      return failure == nil && reduced >= released
    }
    // After an abandoned step the other ranks may still be sending; the job is about to end anyway.
    if isIdle { communicator.finish() }
  }

  private func run() {
    while let bucket = next() {
      let start = ContinuousClock.now
      var isAbandoned = false
      let result = Result {
        // MPI spins while it waits. The barrier sleeps instead until the slowest rank has this bucket, so
        // that the cores are backward's, and the reduction itself then runs without waiting.
        isAbandoned = try !communicator.barrier(unless: { condition.withLock { isStopping } })
        if isAbandoned { return }
        try reduce(communicator, buckets[bucket])
      }
      if isAbandoned { break }
      let elapsed = (ContinuousClock.now - start).inSeconds
      condition.withLock {
        seconds += elapsed
        reduced = bucket + 1
        if case .failure(let error) = result { failure = error }
        if reduced == buckets.count || failure != nil { condition.broadcast() }
      }
    }
    condition.withLock {
      isRunning = false
      condition.broadcast()
    }
  }

  /// The next bucket to sum, or nil to end.
  private func next() -> Int? {
    condition.withLock {
      while !isStopping && failure == nil && reduced >= released { condition.wait() }
      return isStopping || failure != nil ? nil : reduced
    }
  }
}

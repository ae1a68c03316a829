import Foundation
import Hashing

/// Sums gradients over all ranks while backward still runs.
///
/// Backward calls `ready` as each parameter's gradient becomes final. A bucket is summed in place, on a
/// thread of its own, once all of its parameters are ready and all buckets before it are summed: the order is
/// the layout's on every rank, whatever order backward took, so ranks cannot wait for each other crosswise.
/// Open MPI's non-blocking all-reduce makes no progress by itself; hence the thread. With one rank there is
/// no thread and no work.
///
/// Safe to share between threads: `lock` guards the state that changes, and `ReductionThread` has its own.
public final class GradientReducer: @unchecked Sendable {
  /// What one step's communication took.
  public struct Timing: Equatable, Sendable {
    /// Seconds the thread spent in reductions, waiting for slower ranks included.
    public var communicationSeconds: Double
    /// Seconds of it that backward did not hide: the wait in `finish()`.
    public var exposedSeconds: Double
  }

  /// How the buffer is cut.
  public let buckets: GradientBuckets
  private let bucketOfParameter: [Int]
  private let thread: ReductionThread?

  private var isInStep = false
  private var isReady: [Bool]
  private var missing: [Int]
  private var readyBuckets = 0
  private let lock = NSLock()

  /// Prepares the reduction of a flat gradient buffer; collective.
  ///
  /// - Parameters:
  ///   - communicator: the ranks; the reducer takes a duplicate of it.
  ///   - count: the buffer's elements.
  ///   - parameters: each parameter's elements, ascending, in the order in which backward finishes.
  ///   - bucketElements: how many are reduced at a time.
  ///   - reduce: sums a range of the buffer in place over the ranks of the communicator that it is given; called on
  ///     the reducer's thread. It keeps the buffer alive.
  public init(
    communicator: Communicator, count: Int, parameters: [Range<Int>], bucketElements: Int,
    reduce: @escaping (Communicator, Range<Int>) throws -> Void
  ) throws {
    precondition((parameters.last?.upperBound ?? 0) <= count, "parameters reach past the gradient buffer")
    buckets = GradientBuckets(parameters: parameters, capacity: bucketElements)
    bucketOfParameter = buckets.parameters.enumerated().flatMap { bucket, members in
      members.map { _ in bucket }
    }
    isReady = [Bool](repeating: false, count: parameters.count)
    missing = buckets.parameters.map(\.count)

    let layout = buckets.ranges.flatMap { [$0.lowerBound, $0.upperBound] }
    try communicator.checkEqual(
      checksum: layout.withUnsafeBytes { XXHash64.hash($0) }, what: "the layouts of the gradients")
    thread =
      communicator.size == 1
      ? nil
      : try ReductionThread(
        communicator: try communicator.duplicate(), buckets: buckets.ranges, reduce: reduce)
  }

  /// Prepares the reduction of gradients in memory that outlives the reducer; collective.
  public convenience init<Scalar: ReducibleScalar>(
    communicator: Communicator, gradients: UnsafeMutablePointer<Scalar>, count: Int,
    parameters: [Range<Int>], bucketBytes: Int = 4 << 20
  ) throws {
    try self.init(
      communicator: communicator, count: count, parameters: parameters,
      bucketElements: bucketBytes / MemoryLayout<Scalar>.stride
    ) { try $0.allReduce(.sum, gradients + $1.lowerBound, count: $1.count) }
  }

  deinit { close() }

  /// Starts a step: no gradient is ready.
  public func begin() {
    lock.withLock {
      precondition(!isInStep, "begin() without finish() of the step before")
      isInStep = true
      readyBuckets = 0
      for index in isReady.indices { isReady[index] = false }
      for (bucket, members) in buckets.parameters.enumerated() { missing[bucket] = members.count }
    }
    thread?.begin()
  }

  /// Marks a parameter's gradient as final on this rank, at most once a step; from any thread, in any
  /// order.
  public func ready(_ parameter: Int) {
    guard let thread else { return }
    let released: Int? = lock.withLock {
      precondition(isInStep, "ready() outside of begin() and finish()")
      precondition(!isReady[parameter], "the gradient of parameter \(parameter) was final already")
      isReady[parameter] = true
      missing[bucketOfParameter[parameter]] -= 1
      let before = readyBuckets
      while readyBuckets < missing.count, missing[readyBuckets] == 0 { readyBuckets += 1 }
      return readyBuckets > before ? readyBuckets : nil
    }
    if let released { thread.release(upTo: released) }
  }

  /// Waits until every gradient is summed over all ranks.
  ///
  /// Parameters that never became ready took no part in this step: their gradients, zero here, are summed
  /// like all others, so that ranks which disagree about them still make the same calls. Throws what went
  /// wrong on the thread.
  @discardableResult
  public func finish() throws -> Timing {
    lock.withLock {
      precondition(isInStep, "finish() without begin()")
      isInStep = false
    }
    guard let thread else { return Timing(communicationSeconds: 0, exposedSeconds: 0) }
    let start = ContinuousClock.now
    thread.release(upTo: buckets.ranges.count)
    let communication = try thread.wait()
    return Timing(
      communicationSeconds: communication, exposedSeconds: (ContinuousClock.now - start).inSeconds)
  }

  /// Ends the thread and gives back its communicator; a second call does nothing.
  ///
  /// Every rank must call it, or drop the reducer, between steps and before the communicator finishes.
  public func close() {
    thread?.stop()
  }
}

extension Duration {
  var inSeconds: Double {
    Double(components.seconds) + Double(components.attoseconds) * 1e-18
  }
}

import Foundation
import Synchronization
import Threads

/// Ranks as threads of one process, so that distributed code is tested without MPI.
public enum InProcessRanks {
  /// Runs `body` once for every rank, each on a thread of its own; the values in rank order.
  ///
  /// Where a rank throws, the others are released from their collectives with `AbandonedCollectiveError`, and
  /// the error of the lowest rank that failed by itself is thrown. A rank that returns while others wait for
  /// it releases them too.
  ///
  /// - Parameters:
  ///   - count: how many ranks, at least one.
  ///   - stackSize: bytes of each thread's stack.
  ///   - body: what each rank does with its communicator.
  public static func run<Value: Sendable>(
    _ count: Int, stackSize: Int = 16 << 20,
    _ body: @escaping @Sendable (Communicator) throws -> Value
  ) throws -> [Value] {
    precondition(count > 0, "a job has at least one rank")
    let job = InProcessJob(ranks: count)
    let group = InProcessGroup(job: job)
    let values = RankValues<Value>(count: count)
    for rank in 0..<count {
      do {
        try WorkerThread.start("rank \(rank)", stackSize: stackSize) {
          let communicator = Communicator(InProcessTransport(rank: rank, group: group))
          do {
            values.set(rank, try body(communicator))
            job.end(rank: rank, error: nil)
          } catch {
            job.end(rank: rank, error: error)
          }
        }
      } catch {
        job.end(rank: rank, error: error)
      }
    }
    try job.wait()
    return values.all
  }
}

/// What the ranks return.
private final class RankValues<Value: Sendable>: Sendable {
  private let values: Mutex<[Value?]>

  init(count: Int) { values = Mutex([Value?](repeating: nil, count: count)) }

  func set(_ rank: Int, _ value: Value) { values.withLock { $0[rank] = value } }

  var all: [Value] { values.withLock { $0.compactMap(\.self) } }
}

/// Which in-process ranks have ended, and how.
///
/// Safe to share between threads: `condition` guards the state that changes.
final class InProcessJob: @unchecked Sendable {
  let size: Int
  /// Guards this job and its groups, and wakes whoever waits for a change of them.
  let condition = NSCondition()
  private var endings: [Result<Void, any Error>?]

  init(ranks: Int) {
    size = ranks
    endings = Array(repeating: nil, count: ranks)
  }

  /// Records how a rank ended, once, and releases the ranks that wait for it.
  func end(rank: Int, error: (any Error)?) {
    condition.withLock {
      if endings[rank] == nil { endings[rank] = error.map { .failure($0) } ?? .success(()) }
      condition.broadcast()
    }
  }

  /// Why no further collective can complete; nil while all ranks run. Call it under `condition`.
  var loss: AbandonedCollectiveError? {
    var returned: AbandonedCollectiveError?
    for (rank, ending) in endings.enumerated() {
      switch ending {
      case .failure(let error):
        return AbandonedCollectiveError(rank: rank, description: "rank \(rank) failed: \(error)")
      case .success where returned == nil:
        returned = AbandonedCollectiveError(
          rank: rank, description: "rank \(rank) returned while others wait for it in a collective")
      default: break
      }
    }
    return returned
  }

  /// Waits for all ranks. Throws the error of the lowest rank that failed by itself.
  func wait() throws {
    let errors: [any Error] = condition.withLock {
      while endings.contains(where: { $0 == nil }) { condition.wait() }
      return endings.compactMap {
        if case .failure(let error)? = $0 { error } else { nil }
      }
    }
    if let error = errors.first(where: { !($0 is AbandonedCollectiveError) }) ?? errors.first { throw error }
  }
}

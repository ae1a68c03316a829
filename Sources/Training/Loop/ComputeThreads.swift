import Communication
import Foundation
import Tensors

/// How many threads a rank computes with.
public enum ComputeThreads {
  /// Sets the thread pool up before anything is computed.
  ///
  /// The number is, in this order: what the configuration asks for, `PECO_THREADS`, `OMP_NUM_THREADS`, or the
  /// processors this process may run on, shared among the ranks of the node if they are not bound apart.
  public static func configure(requested: Int?, communicator: Communicator) {
    ThreadPool.configure(
      threads: number(
        requested: requested, environment: ProcessInfo.processInfo.environment,
        available: ThreadPool.availableProcessors, online: ProcessInfo.processInfo.processorCount,
        ranksOnNode: communicator.localSize))
  }

  /// The rule, as a function of all it depends on.
  public static func number(
    requested: Int?, environment: [String: String], available: Int, online: Int, ranksOnNode: Int
  ) -> Int {
    for wish in [
      requested, environment["PECO_THREADS"].flatMap(Int.init),
      environment["OMP_NUM_THREADS"].flatMap(Int.init),
    ] {
      if let wish, wish > 0 { return wish }
    }
    let isBound = available < online
    return max(1, isBound ? available : available / ranksOnNode)
  }
}

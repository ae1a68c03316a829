import Communication
import Configuration
import Foundation
import Tensors
import Terminal

/// How many threads a rank computes with.
public enum ComputeThreads {
  /// Gives the current context its threads, before anything is computed.
  ///
  /// The number is, in this order: what the configuration asks for, `PECO_THREADS`, `OMP_NUM_THREADS`, or the
  /// processors this process may run on, shared among the ranks of the node if they are not bound apart.
  /// Throws where `PECO_THREADS` is no number of threads, and where the system does not give so many.
  public static func configure(requested: Int?, communicator: Communicator) throws {
    try ThreadPool.current.resize(
      to: try number(
        requested: requested, environment: ProcessInfo.processInfo.environment,
        available: ThreadPool.availableProcessors, online: ProcessInfo.processInfo.processorCount,
        ranksOnNode: communicator.localSize))
  }

  /// The most threads a rank may have.
  public static let most = TrainingConfiguration.mostThreads

  /// The rule, as a function of all it depends on. Of `OMP_NUM_THREADS`, which others read too, what is no number of
  /// threads is passed over.
  public static func number(
    requested: Int?, environment: [String: String], available: Int, online: Int, ranksOnNode: Int
  ) throws -> Int {
    if let requested { return requested }
    if let text = environment["PECO_THREADS"] {
      guard let wish = Int(text), (1...most).contains(wish) else {
        throw RunError("PECO_THREADS is '\(text)'; it must be a number of threads from 1 to \(most)")
      }
      return wish
    }
    if let wish = environment["OMP_NUM_THREADS"].flatMap(Int.init), (1...most).contains(wish) { return wish }
    let isBound = available < online
    return max(1, isBound ? available : available / ranksOnNode)
  }
}

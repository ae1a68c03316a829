import CMPI
import Foundation
import Threads

extension Communicator {
  // MARK: Ending the job

  /// Prints one rank's error once, with its rank and host, and ends the whole job.
  ///
  /// Ranks that fail in the same moment hold back in turn, so that the first of rank 0's node speaks and ends
  /// the others before they repeat it.
  public func fail(_ error: Error, exitCode: Int32 = 1) -> Never {
    let namesItsRank = error is AgreedError || error is CommunicationError || size == 1
    // What all agreed on is the first rank's to say; the others only make sure that the job ends.
    holdBack(seconds: error is AgreedError && !isRoot ? 5 : turn)
    printError(namesItsRank ? "\(error)" : "rank \(rank) on \(hostname): \(error)")
    abort(exitCode)
  }

  /// Ends the whole job at once, every rank of it, with a non-zero code.
  public func abort(_ exitCode: Int32) -> Never {
    fflush(nil)
    let code = exitCode == 0 ? 1 : exitCode
    guard size > 1 else { exit(code) }
    // Should MPI itself be stuck, leave without it: a launcher ends a job whose rank went away unannounced.
    try? WorkerThread.start("abort") {
      sleep(10)
      _exit(code)
    }
    _ = MPI_Abort(peco_mpi_comm_world(), code)
    _exit(code)
  }

  /// How long this rank leaves the others to speak first. mpirun ends the ranks of its own node at once, and
  /// those of others two seconds after a rank has failed.
  private var turn: Double {
    (isOnFirstNode ? 0 : 2.5) + min(0.25 * Double(localRank), 1.5)
  }

  private func holdBack(seconds: Double) {
    // The launcher ends ranks by SIGTERM, which must not be caught any more.
    signal(SIGTERM, SIG_DFL)
    if seconds > 0 { usleep(UInt32(seconds * 1e6)) }
  }

  private func printError(_ text: String) {
    fflush(stdout)
    FileHandle.standardError.write(Data("error: \(text)\n".utf8))
  }

  // MARK: Agreement

  /// The value, where every rank has one; otherwise the same error on all ranks, saying which rank failed and
  /// why. Collective.
  public func agree<Value>(on result: Result<Value, Error>) throws -> Value {
    guard size > 1 else { return try result.get() }
    var isFailure: Int64 = 0
    if case .failure = result { isFailure = 1 }
    let failed = try allGather(isFailure).indices(where: { $0 != 0 })
    guard let first = failed.first else { return try result.get() }

    var message = ""
    if case .failure(let error) = result { message = "\(error)" }
    message = try broadcast(message, from: first)
    let host = try broadcast(hostname, from: first)
    let others = failed.count - 1
    let rest = others == 0 ? "" : " (and \(others) other rank\(others == 1 ? "" : "s") failed too)"
    throw AgreedError(rank: first, description: "rank \(first) on \(host): \(message)\(rest)")
  }

  /// Runs `body` on every rank; where it throws on any, all throw the same error. Collective.
  public func agree<Value>(_ body: () throws -> Value) throws -> Value {
    try agree(on: Result { try body() })
  }

  /// Throws on every rank, naming those that differ, unless all ranks bring the same checksum. Collective.
  public func checkEqual(checksum: UInt64, what: String) throws {
    guard size > 1 else { return }
    let all = try allGather(Int64(bitPattern: checksum))
    guard all.contains(where: { $0 != all[0] }) else { return }
    // What most ranks have is taken for right; in a tie, what the lowest rank has.
    let votes = Dictionary(grouping: all.indices, by: { all[$0] }).values
    let right = votes.max { ($0.count, -$0[0]) < ($1.count, -$1[0]) } ?? []
    let different = all.indices.filter { !right.contains($0) }
    let hosts = try allGather(hostname)
    let shown = different.prefix(8).map { "\($0) (\(hosts[$0]))" }.joined(separator: ", ")
    let more = different.count > 8 ? " and \(different.count - 8) more" : ""
    throw AgreedError(
      rank: different[0],
      description: "\(what) differ between ranks: rank \(shown)\(more) "
        + "against rank \(right[0]) (\(hosts[right[0]])); "
        + "all ranks must run the same peco with the same configuration and files")
  }
}

extension Array {
  fileprivate func indices(where isIncluded: (Element) -> Bool) -> [Int] {
    indices.filter { isIncluded(self[$0]) }
  }
}

import Foundation

extension Communicator {
  /// The value, where every rank has one; otherwise the same error on all ranks, which names the rank that failed
  /// and why. Collective.
  public func agree<Value>(on result: Result<Value, any Error>) throws -> Value {
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

  /// What rank 0 reads, on every rank; where it cannot, all throw the same error. Collective.
  ///
  /// The others get by without the file, and all see the same of one that somebody is writing.
  public func readOnRoot<Value: Codable>(_ read: () throws -> Value) throws -> Value {
    guard size > 1 else { return try read() }
    let mine = try agree { isRoot ? Array(try JSONEncoder().encode(try read())) : [] }
    let bytes = try broadcast(bytes: mine)
    return try agree { try JSONDecoder().decode(Value.self, from: Data(bytes)) }
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

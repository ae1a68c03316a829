/// An error of the communication between ranks: from MPI, the launcher, or a collective.
public struct CommunicationError: Error, CustomStringConvertible, Equatable {
  /// What failed and why.
  public let message: String
  /// The rank that saw it; nil before ranks are known.
  public let rank: Int?
  /// The host of that rank; nil before ranks are known.
  public let host: String?

  public init(_ message: String, rank: Int? = nil, host: String? = nil) {
    self.message = message
    self.rank = rank
    self.host = host
  }

  public var description: String {
    guard let rank, let host else { return message }
    return "rank \(rank) on \(host): \(message)"
  }
}

/// An error that every rank holds alike, after they agreed on it: it is printed once for all of them.
public struct AgreedError: Error, CustomStringConvertible, Equatable {
  /// The lowest rank concerned.
  public let rank: Int
  /// Everything the user should read, the ranks and hosts concerned included.
  public let description: String

  public init(rank: Int, description: String) {
    self.rank = rank
    self.description = description
  }
}

/// A collective of in-process ranks that cannot complete, because another rank has failed or returned.
public struct AbandonedCollectiveError: Error, CustomStringConvertible, Equatable {
  /// The rank that is missing.
  public let rank: Int
  /// What became of that rank.
  public let description: String
}

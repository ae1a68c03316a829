import CMPI

/// What went wrong between the ranks, as MPI or the launcher tells it.
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

/// The text MPI has for one of its error codes.
func mpiErrorText(_ code: Int32) -> String {
  var text = [CChar](repeating: 0, count: Int(MPI_MAX_ERROR_STRING) + 1)
  var length: Int32 = 0
  guard MPI_Error_string(code, &text, &length) == MPI_SUCCESS else { return "MPI error \(code)" }
  return String(decoding: text.prefix(Int(length)).map { UInt8(bitPattern: $0) }, as: UTF8.self)
}

import Foundation

/// How values of several ranks become one.
public enum Reduction: Sendable {
  case sum, max, min
}

/// The type of the numbers in memory that ranks exchange.
public enum ScalarType: String, Sendable {
  case float = "Float"
  case double = "Double"
  case int64 = "Int64"
  case byte = "UInt8"
  case bfloat16 = "BFloat16"

  /// Bytes of one number.
  var stride: Int {
    switch self {
    case .float: 4
    case .double, .int64: 8
    case .byte: 1
    case .bfloat16: 2
    }
  }
}

/// A number that ranks can broadcast and gather.
public protocol TransferableScalar: BitwiseCopyable, Sendable {
  /// The type's tag.
  static var scalarType: ScalarType { get }
}

/// A number that ranks can reduce, too.
public protocol ReducibleScalar: TransferableScalar {}

extension Float: ReducibleScalar {
  public static var scalarType: ScalarType { .float }
}

extension Double: ReducibleScalar {
  public static var scalarType: ScalarType { .double }
}

extension Int64: ReducibleScalar {
  public static var scalarType: ScalarType { .int64 }
}

extension UInt8: TransferableScalar {
  public static var scalarType: ScalarType { .byte }
}

/// Where a rank stands among all ranks and on its node.
struct RankPlace: Sendable {
  var rank: Int
  var size: Int
  var localRank: Int
  var localSize: Int
  var hostname: String
  /// Whether rank 0 runs on this node too.
  var isOnFirstNode: Bool
}

/// The primitive operations between ranks on which `Communicator` builds its collectives.
///
/// Every operation but `place`, `close`, `fail` and `abort` is collective.
protocol Transport: AnyObject, Sendable {
  var place: RankPlace { get }

  /// Reduces `count` numbers over all ranks in place; every rank gets the same bits.
  func allReduce(
    _ reduction: Reduction, _ values: UnsafeMutableRawPointer, count: Int, type: ScalarType) throws
  /// Copies `count` numbers from rank `root` to all others.
  func broadcast(_ values: UnsafeMutableRawPointer, count: Int, type: ScalarType, from root: Int) throws
  /// Copies `count` numbers of every rank, in rank order, to every rank.
  func allGather(
    _ mine: UnsafeRawPointer, count: Int, type: ScalarType, into all: UnsafeMutableRawPointer) throws
  /// The bytes of every rank on every rank; `lengths` holds the byte count of each.
  func allGather(bytes: [UInt8], lengths: [Int]) throws -> [[UInt8]]
  /// The bytes of every rank on rank `root`, nil on the others; `lengths` holds the byte count of each.
  func gather(bytes: [UInt8], lengths: [Int], to root: Int) throws -> [[UInt8]]?
  /// Waits for all ranks, or until `isCancelled`; whether all ranks met.
  func barrier(unless isCancelled: (() -> Bool)?) throws -> Bool
  /// The same ranks with a separate stream of messages.
  func duplicate() throws -> any Transport
  /// Gives back what the transport holds; called once.
  func close()
  /// Reports an error of this rank and ends the job.
  func fail(_ error: any Error, exitCode: Int32) -> Never
  /// Ends the job, every rank of it, with a non-zero code.
  func abort(_ exitCode: Int32) -> Never
}

/// This node's name, without asking a name server.
func nodeName() -> String {
  var buffer = [CChar](repeating: 0, count: 256)
  guard gethostname(&buffer, buffer.count - 1) == 0 else { return "localhost" }
  return String(decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
}

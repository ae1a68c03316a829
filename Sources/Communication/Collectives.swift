import CMPI
import Foundation

/// How values of several ranks become one.
public enum Reduction {
  case sum, max, min

  var operation: MPI_Op {
    switch self {
    case .sum: return peco_mpi_sum()
    case .max: return peco_mpi_max()
    case .min: return peco_mpi_min()
    }
  }
}

/// A number that ranks can reduce and broadcast.
public protocol ReducibleScalar: BitwiseCopyable {
  /// MPI's name of the type.
  static var mpiDatatype: MPI_Datatype { get }
}

extension Float: ReducibleScalar {
  public static var mpiDatatype: MPI_Datatype { peco_mpi_float() }
}

extension Double: ReducibleScalar {
  public static var mpiDatatype: MPI_Datatype { peco_mpi_double() }
}

extension Int64: ReducibleScalar {
  public static var mpiDatatype: MPI_Datatype { peco_mpi_int64() }
}

extension UInt8: ReducibleScalar {
  public static var mpiDatatype: MPI_Datatype { peco_mpi_byte() }
}

/// Elements in one MPI call. MPI counts in 32 bits, and 16 MiB of floats at a time are also reduced faster
/// than hundreds at once, which no longer fit any cache.
private let elementsPerCall = 4 << 20

extension Communicator {
  // MARK: Reductions

  /// Reduces `count` values over all ranks in place.
  ///
  /// Every rank receives the same bits. For the same ranks and count the result is bit-identical from run to
  /// run: Open MPI picks the algorithm, and with it the order of additions, by size and count alone.
  public func allReduce<Scalar: ReducibleScalar>(
    _ reduction: Reduction, _ values: UnsafeMutablePointer<Scalar>, count: Int
  ) throws {
    guard let mpi else { return }
    for start in stride(from: 0, to: count, by: elementsPerCall) {
      let length = min(elementsPerCall, count - start)
      try check(
        peco_mpi_allreduce_in_place(
          values + start, Int32(length), Scalar.mpiDatatype, reduction.operation, mpi),
        "reducing \(count) values of \(Scalar.self)")
    }
  }

  /// Reduces the elements of an array over all ranks; all arrays must be of one length.
  public func allReduce<Scalar: ReducibleScalar>(_ reduction: Reduction, _ values: [Scalar]) throws
    -> [Scalar]
  {
    var result = values
    try result.withUnsafeMutableBufferPointer { buffer in
      if let base = buffer.baseAddress { try allReduce(reduction, base, count: buffer.count) }
    }
    return result
  }

  /// Reduces one value over all ranks.
  public func allReduce<Scalar: ReducibleScalar>(_ reduction: Reduction, _ value: Scalar) throws -> Scalar {
    var result = value
    try allReduce(reduction, &result, count: 1)
    return result
  }

  /// Sums named values over all ranks in one call; every rank must bring the same names.
  public func reduceMetrics(_ metrics: [String: Double]) throws -> [String: Double] {
    guard size > 1 else { return metrics }
    let names = metrics.keys.sorted()
    // The names' checksum rides along: its sum is `size` times itself exactly when all ranks agree.
    let signature = Double(fnv1a(names.joined(separator: "\n").utf8) >> 32)
    let sums = try allReduce(.sum, names.map { metrics[$0] ?? 0 } + [signature])
    guard sums[names.count] == signature * Double(size) else {
      throw CommunicationError(
        "the ranks report different metrics; here: \(names.joined(separator: ", "))", rank: rank,
        host: hostname)
    }
    return Dictionary(uniqueKeysWithValues: zip(names, sums))
  }

  // MARK: Broadcast

  /// Copies `count` values from rank `root` to all others.
  public func broadcast<Scalar: ReducibleScalar>(
    _ values: UnsafeMutablePointer<Scalar>, count: Int, from root: Int = 0
  ) throws {
    guard let mpi else { return }
    for start in stride(from: 0, to: count, by: elementsPerCall) {
      let length = min(elementsPerCall, count - start)
      try check(
        MPI_Bcast(values + start, Int32(length), Scalar.mpiDatatype, Int32(root), mpi),
        "broadcasting \(count) values of \(Scalar.self) from rank \(root)")
    }
  }

  /// The bytes of rank `root`, whatever the others bring and however long.
  public func broadcast(bytes: [UInt8], from root: Int = 0) throws -> [UInt8] {
    guard mpi != nil else { return bytes }
    var length = Int64(bytes.count)
    try broadcast(&length, count: 1, from: root)
    var result = rank == root ? bytes : [UInt8](repeating: 0, count: Int(length))
    try result.withUnsafeMutableBufferPointer { buffer in
      if let base = buffer.baseAddress { try broadcast(base, count: buffer.count, from: root) }
    }
    return result
  }

  /// The string of rank `root`.
  public func broadcast(_ string: String, from root: Int = 0) throws -> String {
    String(decoding: try broadcast(bytes: Array(string.utf8), from: root), as: UTF8.self)
  }

  // MARK: Gather

  /// One number of every rank, in rank order, on every rank.
  public func allGather(_ value: Int64) throws -> [Int64] {
    var mine = value
    var all = [Int64](repeating: value, count: size)
    if let mpi {
      let type = Int64.mpiDatatype
      try check(MPI_Allgather(&mine, 1, type, &all, 1, type, mpi), "gathering a number of every rank")
    }
    return all
  }

  /// `count` values of every rank, in rank order, on every rank: `all` holds `size · count`.
  public func allGather<Scalar: ReducibleScalar>(
    _ mine: UnsafePointer<Scalar>, count: Int, into all: UnsafeMutablePointer<Scalar>
  ) throws {
    guard let mpi else { return all.update(from: mine, count: count) }
    guard count <= Int(Int32.max) / size else {
      // Too much for MPI's 32-bit counts: every rank in turn.
      (all + rank * count).update(from: mine, count: count)
      for root in 0..<size { try broadcast(all + root * count, count: count, from: root) }
      return
    }
    let type = Scalar.mpiDatatype
    try check(
      MPI_Allgather(mine, Int32(count), type, all, Int32(count), type, mpi),
      "gathering \(count) values of every rank")
  }

  /// The bytes of every rank, in rank order, on every rank; lengths may differ.
  public func allGather(bytes: [UInt8]) throws -> [[UInt8]] {
    guard let mpi else { return [bytes] }
    let lengths = try allGather(Int64(bytes.count)).map { Int($0) }
    let total = lengths.reduce(0, +)
    guard total <= Int(Int32.max) else {
      // Too much for MPI's 32-bit displacements: every rank in turn.
      return try (0..<size).map { try broadcast(bytes: $0 == rank ? bytes : [], from: $0) }
    }
    let offsets = lengths.indices.map { lengths[..<$0].reduce(0, +) }
    var all = [UInt8](repeating: 0, count: total)
    try check(
      MPI_Allgatherv(
        bytes, Int32(bytes.count), UInt8.mpiDatatype, &all, lengths.map { Int32($0) },
        offsets.map { Int32($0) }, UInt8.mpiDatatype, mpi),
      "gathering \(total) bytes")
    return zip(offsets, lengths).map { Array(all[$0..<$0 + $1]) }
  }

  /// The strings of every rank, in rank order, on every rank.
  public func allGather(_ string: String) throws -> [String] {
    try allGather(bytes: Array(string.utf8)).map { String(decoding: $0, as: UTF8.self) }
  }

  /// The bytes of every rank, in rank order, on rank `root`; nil on the others.
  public func gather(bytes: [UInt8], to root: Int = 0) throws -> [[UInt8]]? {
    guard let mpi else { return [bytes] }
    let lengths = try allGather(Int64(bytes.count)).map { Int($0) }
    guard rank == root else {
      try bytes.withUnsafeBufferPointer { buffer in
        for start in stride(from: 0, to: buffer.count, by: elementsPerCall) {
          let length = Int32(min(elementsPerCall, buffer.count - start))
          try check(
            MPI_Send(
              buffer.baseAddress.map { $0 + start }, length, UInt8.mpiDatatype, Int32(root), gatherTag, mpi),
            "sending \(buffer.count) bytes to rank \(root)")
        }
      }
      return nil
    }
    return try (0..<size).map { source in
      guard source != root else { return bytes }
      var received = [UInt8](repeating: 0, count: lengths[source])
      try received.withUnsafeMutableBufferPointer { buffer in
        for start in stride(from: 0, to: buffer.count, by: elementsPerCall) {
          let length = Int32(min(elementsPerCall, buffer.count - start))
          try check(
            peco_mpi_receive(
              buffer.baseAddress.map { $0 + start }, length, UInt8.mpiDatatype, Int32(source), gatherTag,
              mpi),
            "receiving \(buffer.count) bytes from rank \(source)")
        }
      }
      return received
    }
  }

  /// The strings of every rank, in rank order, on rank `root`; nil on the others.
  public func gather(_ string: String, to root: Int = 0) throws -> [String]? {
    try gather(bytes: Array(string.utf8), to: root)?.map { String(decoding: $0, as: UTF8.self) }
  }

  // MARK: Barrier

  /// Returns once every rank has called it. It sleeps while it waits, so that waiting ranks leave their cores
  /// to those at work.
  public func barrier() throws {
    _ = try barrier(unless: { false })
  }

  /// A barrier that is left, for good, as soon as `isCancelled`; whether all ranks met.
  ///
  /// After a canceled barrier the communicator is of no further use.
  func barrier(unless isCancelled: () -> Bool) throws -> Bool {
    guard let mpi else { return true }
    var request: MPI_Request?
    try check(MPI_Ibarrier(mpi, &request), "waiting for the other ranks")
    var done: Int32 = 0
    var pause: UInt32 = 1
    while true {
      try check(peco_mpi_test(&request, &done), "waiting for the other ranks")
      if done != 0 { return true }
      if isCancelled() { return false }
      // The first looks cost a yield each, the later ones a sleep that grows to a fifth of a millisecond.
      if pause < 16 { sched_yield() } else { usleep(pause) }
      pause = min(pause * 2, 200)
    }
  }
}

private let gatherTag: Int32 = 1

/// FNV-1a, 64 bits: a short checksum of names.
func fnv1a(_ bytes: some Sequence<UInt8>) -> UInt64 {
  bytes.reduce(0xcbf2_9ce4_8422_2325) { ($0 ^ UInt64($1)) &* 0x0000_0100_0000_01b3 }
}

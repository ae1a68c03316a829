extension Communicator {
  // MARK: Reductions

  /// Reduces `count` values over all ranks in place.
  ///
  /// Every rank receives the same bits. For the same ranks and count the result is bit-identical from run to
  /// run: Open MPI picks the algorithm, and with it the order of additions, by size and count alone.
  /// In-process ranks add in rank order.
  public func allReduce<Scalar: ReducibleScalar>(
    _ reduction: Reduction, _ values: UnsafeMutablePointer<Scalar>, count: Int
  ) throws {
    try transport.allReduce(reduction, values, count: count, type: Scalar.scalarType)
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

  // MARK: Broadcast

  /// Copies `count` values from rank `root` to all others.
  public func broadcast<Scalar: TransferableScalar>(
    _ values: UnsafeMutablePointer<Scalar>, count: Int, from root: Int = 0
  ) throws {
    try transport.broadcast(values, count: count, type: Scalar.scalarType, from: root)
  }

  /// The bytes of rank `root`, whatever the others bring and however long.
  public func broadcast(bytes: [UInt8], from root: Int = 0) throws -> [UInt8] {
    guard size > 1 else { return bytes }
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
    var all = [Int64](repeating: value, count: size)
    try allGather([value], count: 1, into: &all)
    return all
  }

  /// `count` values of every rank, in rank order, on every rank: `all` holds `size · count`.
  public func allGather<Scalar: TransferableScalar>(
    _ mine: UnsafePointer<Scalar>, count: Int, into all: UnsafeMutablePointer<Scalar>
  ) throws {
    try transport.allGather(mine, count: count, type: Scalar.scalarType, into: all)
  }

  /// The bytes of every rank, in rank order, on every rank; lengths may differ.
  public func allGather(bytes: [UInt8]) throws -> [[UInt8]] {
    let lengths = try allGather(Int64(bytes.count)).map { Int($0) }
    return try transport.allGather(bytes: bytes, lengths: lengths)
  }

  /// The strings of every rank, in rank order, on every rank.
  public func allGather(_ string: String) throws -> [String] {
    try allGather(bytes: Array(string.utf8)).map { String(decoding: $0, as: UTF8.self) }
  }

  /// The bytes of every rank, in rank order, on rank `root`; nil on the others.
  public func gather(bytes: [UInt8], to root: Int = 0) throws -> [[UInt8]]? {
    let lengths = try allGather(Int64(bytes.count)).map { Int($0) }
    return try transport.gather(bytes: bytes, lengths: lengths, to: root)
  }

  /// The strings of every rank, in rank order, on rank `root`; nil on the others.
  public func gather(_ string: String, to root: Int = 0) throws -> [String]? {
    try gather(bytes: Array(string.utf8), to: root)?.map { String(decoding: $0, as: UTF8.self) }
  }

  // MARK: Barrier

  /// Returns once every rank has called it. It sleeps while it waits, so that waiting ranks leave their cores
  /// to those at work.
  public func barrier() throws {
    _ = try transport.barrier(unless: nil)
  }

  /// A barrier that is left, for good, as soon as `isCancelled`; whether all ranks met.
  ///
  /// After a canceled barrier the communicator is of no further use.
  func barrier(unless isCancelled: () -> Bool) throws -> Bool {
    try withoutActuallyEscaping(isCancelled) { try transport.barrier(unless: $0) }
  }
}

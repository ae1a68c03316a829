import Foundation

/// A collective call, to be the same on every rank.
struct CollectiveCall: Equatable, CustomStringConvertible {
  var operation: String
  var count = 0
  var type = ScalarType.byte
  var root = 0

  var description: String { "\(operation) of \(count) \(type.rawValue), root \(root)" }
}

/// One stream of collectives between in-process ranks.
///
/// Safe to share between threads: the job's `condition` guards the state that changes. The pointers of an
/// entry stay valid from the first meeting of a collective to its second.
final class InProcessGroup: @unchecked Sendable {
  struct Entry {
    var call: CollectiveCall
    var pointer: UnsafeMutableRawPointer?
  }

  let job: InProcessJob
  private var entries: [Entry?]
  private var arrived = 0
  private var meetings = 0
  private var complete: [Entry] = []
  private var loss: AbandonedCollectiveError?

  init(job: InProcessJob) {
    self.job = job
    entries = Array(repeating: nil, count: job.size)
  }

  /// Waits until every rank has brought its entry; the entries in rank order, or nil where `isCancelled`.
  ///
  /// - Parameter mustComplete: for a second meeting, which every rank is sure to reach. It is not left early,
  ///   so that no rank's memory goes away while another reads it.
  func meet(
    rank: Int, _ entry: Entry, mustComplete: Bool = false, unless isCancelled: (() -> Bool)? = nil
  ) throws -> [Entry]? {
    let condition = job.condition
    return try condition.withLock {
      if !mustComplete, let loss = loss ?? job.loss { throw loss }
      guard entries[rank] == nil else {
        throw CommunicationError("two threads of rank \(rank) use one communicator at a time")
      }
      entries[rank] = entry
      arrived += 1
      if arrived == entries.count {
        complete = entries.compactMap(\.self)
        entries = Array(repeating: nil, count: job.size)
        arrived = 0
        meetings += 1
        condition.broadcast()
        return complete
      }
      let meeting = meetings
      while meetings == meeting {
        if !mustComplete, let loss = loss ?? job.loss { throw loss }
        guard let isCancelled else {
          condition.wait()
          continue
        }
        // It is asked under the lock, so it must not use a communicator itself.
        if isCancelled() {
          loss = AbandonedCollectiveError(rank: rank, description: "rank \(rank) left a barrier")
          condition.broadcast()
          return nil
        }
        _ = condition.wait(until: Date(timeIntervalSinceNow: 0.0002))
      }
      return complete
    }
  }
}

/// The transport of one in-process rank: ranks read and write each other's memory.
final class InProcessTransport: Transport {
  let place: RankPlace
  private let group: InProcessGroup

  init(rank: Int, group: InProcessGroup) {
    let size = group.job.size
    place = RankPlace(
      rank: rank, size: size, localRank: rank, localSize: size, hostname: nodeName(), isOnFirstNode: true)
    self.group = group
  }

  /// Shows every rank's memory to all, runs `body` on it, and waits until all ranks have run theirs.
  private func exchange(
    _ call: CollectiveCall, _ pointer: UnsafeMutableRawPointer?,
    _ body: ([UnsafeMutableRawPointer?]) -> Void
  ) throws {
    let entry = InProcessGroup.Entry(call: call, pointer: pointer)
    guard let entries = try group.meet(rank: place.rank, entry) else { return }
    try checkAlike(entries)
    body(entries.map(\.pointer))
    _ = try group.meet(rank: place.rank, entry, mustComplete: true)
  }

  /// All ranks see the same entries, so all throw or none.
  private func checkAlike(_ entries: [InProcessGroup.Entry]) throws {
    guard let other = entries.indices.first(where: { entries[$0].call != entries[0].call }) else { return }
    throw CommunicationError(
      "ranks make different calls: rank 0 \(entries[0].call), rank \(other) \(entries[other].call)")
  }

  func allReduce(
    _ reduction: Reduction, _ values: UnsafeMutableRawPointer, count: Int, type: ScalarType
  ) throws {
    let call = CollectiveCall(operation: "allReduce \(reduction)", count: count, type: type)
    try exchange(call, values) { pointers in
      let all = pointers.compactMap(\.self)
      // Every rank reduces its slice in the memory of all.
      let slice = place.rank * count / place.size..<(place.rank + 1) * count / place.size
      switch type {
      case .float: combine(all, as: Float.self, slice, reduction) { $0 + $1 }
      case .double: combine(all, as: Double.self, slice, reduction) { $0 + $1 }
      case .int64: combine(all, as: Int64.self, slice, reduction) { $0 &+ $1 }
      case .bfloat16: combine(all, as: BFloat16.self, slice, reduction) { $0 + $1 }
      case .byte: break  // Not a `ReducibleScalar`.
      }
    }
  }

  func broadcast(_ values: UnsafeMutableRawPointer, count: Int, type: ScalarType, from root: Int) throws {
    let call = CollectiveCall(operation: "broadcast", count: count, type: type, root: root)
    try exchange(call, values) { pointers in
      if place.rank != root, let source = pointers[root] {
        values.copyMemory(from: source, byteCount: count * type.stride)
      }
    }
  }

  func allGather(
    _ mine: UnsafeRawPointer, count: Int, type: ScalarType, into all: UnsafeMutableRawPointer
  ) throws {
    let call = CollectiveCall(operation: "allGather", count: count, type: type)
    let bytes = count * type.stride
    try exchange(call, UnsafeMutableRawPointer(mutating: mine)) { pointers in
      for (rank, source) in pointers.enumerated() {
        if let source { (all + rank * bytes).copyMemory(from: source, byteCount: bytes) }
      }
    }
  }

  func allGather(bytes: [UInt8], lengths: [Int]) throws -> [[UInt8]] {
    let call = CollectiveCall(operation: "allGather", count: lengths.reduce(0, +))
    return try collect(bytes, lengths, call)
  }

  func gather(bytes: [UInt8], lengths: [Int], to root: Int) throws -> [[UInt8]]? {
    let call = CollectiveCall(operation: "gather", count: lengths.reduce(0, +), root: root)
    let all = try collect(bytes, lengths, call, wanted: place.rank == root)
    return place.rank == root ? all : nil
  }

  private func collect(
    _ bytes: [UInt8], _ lengths: [Int], _ call: CollectiveCall, wanted: Bool = true
  ) throws -> [[UInt8]] {
    var all: [[UInt8]] = []
    try bytes.withUnsafeBytes { buffer in
      try exchange(call, UnsafeMutableRawPointer(mutating: buffer.baseAddress)) { pointers in
        guard wanted else { return }
        all = zip(pointers, lengths).map { pointer, length in
          Array(UnsafeRawBufferPointer(start: pointer, count: pointer == nil ? 0 : length))
        }
      }
    }
    return all
  }

  func barrier(unless isCancelled: (() -> Bool)?) throws -> Bool {
    let entry = InProcessGroup.Entry(call: CollectiveCall(operation: "barrier"), pointer: nil)
    guard let entries = try group.meet(rank: place.rank, entry, unless: isCancelled) else { return false }
    try checkAlike(entries)
    return true
  }

  func duplicate() throws -> any Transport {
    // Rank 0 makes the new group, and the others take it over before rank 0 leaves.
    let own = InProcessGroup(job: group.job)
    var copy = own
    try withExtendedLifetime(own) {
      let pointer = Unmanaged.passUnretained(own).toOpaque()
      try exchange(CollectiveCall(operation: "duplicate"), pointer) { pointers in
        if place.rank != 0, let first = pointers[0] {
          copy = Unmanaged<InProcessGroup>.fromOpaque(first).takeUnretainedValue()
        }
      }
    }
    return InProcessTransport(rank: place.rank, group: copy)
  }

  func close() {}

  func fail(_ error: any Error, exitCode: Int32) -> Never {
    group.job.end(rank: place.rank, error: error)
    // The caller must not go on, and the process must not end: its thread sleeps from here on.
    while true { sleep(.max) }
  }

  func abort(_ exitCode: Int32) -> Never {
    fail(CommunicationError("rank \(place.rank) aborted with code \(exitCode)"), exitCode: exitCode)
  }
}

/// Reduces a slice of the memory of all ranks, in rank order, and writes the result to each.
private func combine<Scalar: Comparable & BitwiseCopyable>(
  _ all: [UnsafeMutableRawPointer], as type: Scalar.Type, _ slice: Range<Int>, _ reduction: Reduction,
  add: (Scalar, Scalar) -> Scalar
) {
  let ranks = all.map { $0.assumingMemoryBound(to: type) }
  for other in ranks.dropFirst() {
    switch reduction {
    case .sum: for index in slice { ranks[0][index] = add(ranks[0][index], other[index]) }
    case .max: for index in slice { ranks[0][index] = max(ranks[0][index], other[index]) }
    case .min: for index in slice { ranks[0][index] = min(ranks[0][index], other[index]) }
    }
  }
  for other in ranks.dropFirst() {
    (other + slice.lowerBound).update(from: ranks[0] + slice.lowerBound, count: slice.count)
  }
}

import CKernels
import CMPI
import Foundation
import Threads

/// The transport of the processes of one MPI job.
///
/// Safe to share between threads: the handle never changes, and MPI was started with `MPI_THREAD_MULTIPLE`.
final class MPITransport: Transport, @unchecked Sendable {
  let place: RankPlace
  private let mpi: MPI_Comm
  private let ownsWorld: Bool

  /// Starts MPI and joins its world. Throws where MPI does not start or sees other ranks than the launcher.
  init(launcher: String, expectedSize: Int?) throws {
    let host = nodeName()
    chooseOpenMPIDefaults()
    var provided: Int32 = 0
    let code = MPI_Init_thread(nil, nil, Int32(MPI_THREAD_MULTIPLE), &provided)
    guard code == MPI_SUCCESS else {
      throw CommunicationError("MPI did not start on \(host): \(mpiErrorText(code))")
    }
    guard let world = peco_mpi_comm_world() else {
      throw CommunicationError("MPI has no world communicator on \(host)")
    }
    _ = peco_mpi_return_errors(world)

    var number: Int32 = 0
    func read(_ code: Int32) throws -> Int {
      guard code == MPI_SUCCESS else { throw CommunicationError("MPI: \(mpiErrorText(code)) (on \(host))") }
      return Int(number)
    }
    let rank = try read(MPI_Comm_rank(world, &number))
    let size = try read(MPI_Comm_size(world, &number))
    guard Int(provided) >= Int(MPI_THREAD_MULTIPLE) else {
      throw CommunicationError(
        "this MPI library was built without MPI_THREAD_MULTIPLE, which reducing gradients "
          + "during backward needs; use an Open MPI built with it (every release since 4.0 is)", rank: rank,
        host: host)
    }
    if let expectedSize, expectedSize != size {
      throw CommunicationError(
        "\(launcher) started \(expectedSize) processes, but MPI sees \(size); "
          + "peco is linked with Open MPI, so use its own mpirun or `srun --mpi=pmix`", rank: rank, host: host
      )
    }

    var (localRank, localSize, isOnFirstNode) = (0, 1, rank == 0)
    var node: MPI_Comm?
    _ = try read(peco_mpi_split_by_node(world, &node))
    if node != nil {
      localRank = try read(MPI_Comm_rank(node, &number))
      localSize = try read(MPI_Comm_size(node, &number))
      var lowest = Int64(rank)
      _ = try read(
        peco_mpi_allreduce_in_place(&lowest, 1, ScalarType.int64.mpi, Reduction.min.mpi, node))
      isOnFirstNode = lowest == 0
      _ = MPI_Comm_free(&node)
    }
    place = RankPlace(
      rank: rank, size: size, localRank: localRank, localSize: localSize, hostname: host,
      isOnFirstNode: isOnFirstNode)
    mpi = world
    ownsWorld = true
  }

  private init(place: RankPlace, duplicate: MPI_Comm) {
    self.place = place
    mpi = duplicate
    ownsWorld = false
  }

  func duplicate() throws -> any Transport {
    var copy: MPI_Comm?
    try check(MPI_Comm_dup(mpi, &copy), "duplicating the communicator")
    guard let copy else {
      throw CommunicationError("MPI gave no duplicate", rank: place.rank, host: place.hostname)
    }
    _ = peco_mpi_return_errors(copy)
    return MPITransport(place: place, duplicate: copy)
  }

  func close() {
    var finalized: Int32 = 0
    guard MPI_Finalized(&finalized) == MPI_SUCCESS, finalized == 0 else { return }
    if ownsWorld {
      _ = MPI_Finalize()
    } else {
      var duplicate: MPI_Comm? = mpi
      _ = MPI_Comm_free(&duplicate)
    }
  }

  // MARK: Collectives

  func allReduce(
    _ reduction: Reduction, _ values: UnsafeMutableRawPointer, count: Int, type: ScalarType
  ) throws {
    // MPI's own operations know no bfloat16: they would add its bits.
    precondition(type != .bfloat16 || reduction == .sum, "numbers of bfloat16 are summed")
    guard let operation = type == .bfloat16 ? sumOfBFloat16 : reduction.mpi else {
      throw CommunicationError("MPI has no sum of bfloat16", rank: place.rank, host: place.hostname)
    }
    for start in stride(from: 0, to: count, by: elementsPerCall) {
      let length = min(elementsPerCall, count - start)
      try check(
        peco_mpi_allreduce_in_place(
          values + start * type.stride, Int32(length), type.mpi, operation, mpi),
        "reducing \(count) values of \(type.rawValue)")
    }
  }

  func broadcast(_ values: UnsafeMutableRawPointer, count: Int, type: ScalarType, from root: Int) throws {
    for start in stride(from: 0, to: count, by: elementsPerCall) {
      let length = min(elementsPerCall, count - start)
      try check(
        MPI_Bcast(values + start * type.stride, Int32(length), type.mpi, Int32(root), mpi),
        "broadcasting \(count) values of \(type.rawValue) from rank \(root)")
    }
  }

  func allGather(
    _ mine: UnsafeRawPointer, count: Int, type: ScalarType, into all: UnsafeMutableRawPointer
  ) throws {
    let bytes = count * type.stride
    guard count <= Int(Int32.max) / place.size else {
      // Too much for MPI's 32-bit counts: every rank in turn.
      (all + place.rank * bytes).copyMemory(from: mine, byteCount: bytes)
      for root in 0..<place.size {
        try broadcast(all + root * bytes, count: count, type: type, from: root)
      }
      return
    }
    try check(
      MPI_Allgather(mine, Int32(count), type.mpi, all, Int32(count), type.mpi, mpi),
      "gathering \(count) values of every rank")
  }

  func allGather(bytes: [UInt8], lengths: [Int]) throws -> [[UInt8]] {
    let total = lengths.reduce(0, +)
    guard total <= Int(Int32.max) else {
      // Too much for MPI's 32-bit displacements: every rank in turn.
      return try lengths.indices.map { root in
        var part = root == place.rank ? bytes : [UInt8](repeating: 0, count: lengths[root])
        try part.withUnsafeMutableBytes { buffer in
          if let base = buffer.baseAddress {
            try broadcast(base, count: buffer.count, type: .byte, from: root)
          }
        }
        return part
      }
    }
    let offsets = lengths.indices.map { lengths[..<$0].reduce(0, +) }
    var all = [UInt8](repeating: 0, count: total)
    let type = ScalarType.byte.mpi
    try check(
      MPI_Allgatherv(
        bytes, Int32(bytes.count), type, &all, lengths.map { Int32($0) }, offsets.map { Int32($0) }, type,
        mpi),
      "gathering \(total) bytes")
    return zip(offsets, lengths).map { Array(all[$0..<$0 + $1]) }
  }

  func gather(bytes: [UInt8], lengths: [Int], to root: Int) throws -> [[UInt8]]? {
    let type = ScalarType.byte.mpi
    guard place.rank == root else {
      try bytes.withUnsafeBufferPointer { buffer in
        for start in stride(from: 0, to: buffer.count, by: elementsPerCall) {
          let length = Int32(min(elementsPerCall, buffer.count - start))
          try check(
            MPI_Send(buffer.baseAddress.map { $0 + start }, length, type, Int32(root), gatherTag, mpi),
            "sending \(buffer.count) bytes to rank \(root)")
        }
      }
      return nil
    }
    return try (0..<place.size).map { source in
      guard source != root else { return bytes }
      var received = [UInt8](repeating: 0, count: lengths[source])
      try received.withUnsafeMutableBufferPointer { buffer in
        for start in stride(from: 0, to: buffer.count, by: elementsPerCall) {
          let length = Int32(min(elementsPerCall, buffer.count - start))
          try check(
            peco_mpi_receive(
              buffer.baseAddress.map { $0 + start }, length, type, Int32(source), gatherTag, mpi),
            "receiving \(buffer.count) bytes from rank \(source)")
        }
      }
      return received
    }
  }

  func barrier(unless isCancelled: (() -> Bool)?) throws -> Bool {
    var request: MPI_Request?
    try check(MPI_Ibarrier(mpi, &request), "waiting for the other ranks")
    var done: Int32 = 0
    var pause: UInt32 = 1
    while true {
      try check(peco_mpi_test(&request, &done), "waiting for the other ranks")
      if done != 0 { return true }
      if let isCancelled, isCancelled() { return false }
      // The first looks cost a yield each, the later ones a sleep that grows to a fifth of a millisecond.
      if pause < 16 { sched_yield() } else { usleep(pause) }
      pause = min(pause * 2, 200)
    }
  }

  // MARK: Failure

  func fail(_ error: any Error, exitCode: Int32) -> Never {
    reportFailure(error, place: place)
    abort(exitCode)
  }

  func abort(_ exitCode: Int32) -> Never {
    fflush(nil)
    let code = exitCode == 0 ? 1 : exitCode
    guard place.size > 1 else { exit(code) }
    // Should MPI itself be stuck, leave without it: a launcher ends a job whose rank went away unannounced.
    try? WorkerThread.start("abort") {
      sleep(10)
      _exit(code)
    }
    _ = MPI_Abort(peco_mpi_comm_world(), code)
    _exit(code)
  }

  /// Turns an MPI return code into an error that says what was being done, where, and MPI's text.
  private func check(_ code: Int32, _ action: @autoclosure () -> String) throws {
    guard code != MPI_SUCCESS else { return }
    throw CommunicationError(
      "\(action()) failed: \(mpiErrorText(code))", rank: place.rank, host: place.hostname)
  }
}

/// Elements in one MPI call. MPI counts in 32 bits, and 16 MiB of floats at a time are also reduced faster
/// than hundreds at once, which no longer fit any cache.
private let elementsPerCall = 4 << 20

private let gatherTag: Int32 = 1

extension Reduction {
  fileprivate var mpi: MPI_Op {
    switch self {
    case .sum: peco_mpi_sum()
    case .max: peco_mpi_max()
    case .min: peco_mpi_min()
    }
  }
}

extension ScalarType {
  fileprivate var mpi: MPI_Datatype {
    switch self {
    case .float: peco_mpi_float()
    case .double: peco_mpi_double()
    case .int64: peco_mpi_int64()
    case .byte: peco_mpi_byte()
    case .bfloat16: peco_mpi_uint16()
    }
  }
}

/// Adds numbers of bfloat16 in float32; nil where MPI makes no operation. Made at its first use, after MPI's start, and
/// there to the end of the process.
private nonisolated(unsafe) let sumOfBFloat16: MPI_Op? = {
  var operation: MPI_Op?
  let code = MPI_Op_create(
    { input, total, count, _ in
      guard let input, let total, let count else { return }
      let sums = total.assumingMemoryBound(to: UInt16.self)
      peco_add_bfloat16(sums, sums, input.assumingMemoryBound(to: UInt16.self), Int(count.pointee))
    }, 1, &operation)
  return code == MPI_SUCCESS ? operation : nil
}()

/// The text MPI has for one of its error codes.
private func mpiErrorText(_ code: Int32) -> String {
  var text = [CChar](repeating: 0, count: Int(MPI_MAX_ERROR_STRING) + 1)
  var length: Int32 = 0
  guard MPI_Error_string(code, &text, &length) == MPI_SUCCESS else { return "MPI error \(code)" }
  return String(decoding: text.prefix(Int(length)).map { UInt8(bitPattern: $0) }, as: UTF8.self)
}

/// Open MPI's settings that suit this work, where the user has not chosen otherwise; they are read when MPI
/// starts.
private func chooseOpenMPIDefaults() {
  // Ranks that wait yield their core. It costs nothing where each has its own, and where ranks or threads
  // outnumber cores it decides: 3.6 against 0.005 GB/s for four ranks on two cores.
  setenv("OMPI_MCA_mpi_yield_when_idle", "1", 0)
  // Copying through shared memory instead of from process to process (CMA): 1.5 times as fast for reductions
  // on one node (16 against 11 GB/s at 4 MiB), and containers often forbid CMA.
  setenv("OMPI_MCA_btl_vader_single_copy_mechanism", "none", 0)
  if let interfaces = NetworkInterfaces.exclusion(environment: ProcessInfo.processInfo.environment) {
    setenv(NetworkInterfaces.setting, interfaces, 0)
  }
}

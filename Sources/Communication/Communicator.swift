import CMPI
import Foundation

/// The ranks of one job and what they say to each other.
///
/// Under `mpirun` or `srun` it stands on MPI's world communicator; a process on its own gets a communicator
/// of size one that never touches MPI. Collective calls must be made by every rank in the same order, and on
/// one communicator by one thread at a time; the reduction thread of `GradientReducer` has a communicator of
/// its own.
public final class Communicator {
  /// This process's number, from 0 to `size - 1`.
  public let rank: Int
  /// How many processes take part.
  public let size: Int
  /// This process's number among those on the same node.
  public let localRank: Int
  /// How many of the processes run on this node.
  public let localSize: Int
  /// The name of this node.
  public let hostname: String

  /// Whether rank 0 runs on this node too.
  let isOnFirstNode: Bool
  /// Nil in a process on its own.
  let mpi: MPI_Comm?
  private let ownsWorld: Bool
  private let lifetime = NSLock()
  private var isOpen = true

  /// Whether this is the rank that prints, logs and writes checkpoints.
  public var isRoot: Bool { rank == 0 }

  /// The MPI library and its version, as it names itself; known without starting MPI.
  public static var libraryVersion: String {
    var text = [CChar](repeating: 0, count: Int(MPI_MAX_LIBRARY_VERSION_STRING) + 1)
    var length: Int32 = 0
    guard MPI_Get_library_version(&text, &length) == MPI_SUCCESS else { return "an unknown MPI" }
    let version = String(decoding: text.prefix(Int(length)).map { UInt8(bitPattern: $0) }, as: UTF8.self)
    return String(version.prefix { $0 != "," && $0 != "\n" })
  }

  /// The ranks this process was started with: all of them under a launcher, itself otherwise.
  ///
  /// Call it once, early, on the thread that will call `finish()`.
  public static func start(
    environment: [String: String] = ProcessInfo.processInfo.environment
  ) throws -> Communicator {
    switch try Launch.detect(environment: environment) {
    case .alone: return Communicator()
    case .underLauncher(let name, let size): return try Communicator(launcher: name, expectedSize: size)
    }
  }

  /// One process on its own.
  public init() {
    (rank, size, localRank, localSize) = (0, 1, 0, 1)
    hostname = nodeName()
    isOnFirstNode = true
    mpi = nil
    ownsWorld = false
  }

  private init(launcher: String, expectedSize: Int?) throws {
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
    rank = try read(MPI_Comm_rank(world, &number))
    size = try read(MPI_Comm_size(world, &number))
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

    var node: MPI_Comm?
    _ = try read(peco_mpi_split_by_node(world, &node))
    if node != nil {
      localRank = try read(MPI_Comm_rank(node, &number))
      localSize = try read(MPI_Comm_size(node, &number))
      var lowest = Int64(rank)
      _ = try read(
        peco_mpi_allreduce_in_place(&lowest, 1, Int64.mpiDatatype, Reduction.min.operation, node))
      isOnFirstNode = lowest == 0
      _ = MPI_Comm_free(&node)
    } else {
      (localRank, localSize, isOnFirstNode) = (0, 1, rank == 0)
    }
    hostname = host
    mpi = world
    ownsWorld = true
  }

  private init(duplicating original: Communicator, as duplicate: MPI_Comm?) {
    (rank, size) = (original.rank, original.size)
    (localRank, localSize) = (original.localRank, original.localSize)
    hostname = original.hostname
    isOnFirstNode = original.isOnFirstNode
    mpi = duplicate
    ownsWorld = false
  }

  /// The same ranks with a separate stream of messages, for another thread. Collective.
  public func duplicate() throws -> Communicator {
    guard let mpi else { return Communicator(duplicating: self, as: nil) }
    var copy: MPI_Comm?
    try check(MPI_Comm_dup(mpi, &copy), "duplicating the communicator")
    _ = peco_mpi_return_errors(copy)
    return Communicator(duplicating: self, as: copy)
  }

  /// Leaves the job in order, together with all other ranks; a second call does nothing.
  ///
  /// On a duplicate it gives back the duplicate alone. After `start()`'s communicator has finished, nothing
  /// may be sent.
  public func finish() {
    let wasOpen = lifetime.withLock {
      defer { isOpen = false }
      return isOpen
    }
    guard wasOpen, let mpi else { return }
    var finalized: Int32 = 0
    guard MPI_Finalized(&finalized) == MPI_SUCCESS, finalized == 0 else { return }
    if ownsWorld {
      _ = MPI_Finalize()
    } else {
      var duplicate: MPI_Comm? = mpi
      _ = MPI_Comm_free(&duplicate)
    }
  }

  /// Turns an MPI return code into an error that says what was being done, where, and what MPI says.
  func check(_ code: Int32, _ action: @autoclosure () -> String) throws {
    guard code != MPI_SUCCESS else { return }
    throw CommunicationError("\(action()) failed: \(mpiErrorText(code))", rank: rank, host: hostname)
  }
}

/// This node's name, without asking a name server.
private func nodeName() -> String {
  var buffer = [CChar](repeating: 0, count: 256)
  guard gethostname(&buffer, buffer.count - 1) == 0 else { return "localhost" }
  return String(decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
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

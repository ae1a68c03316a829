import CMPI
import Foundation
import Synchronization

/// The ranks of one job and the collective operations between them.
///
/// Under `mpirun` or `srun` it stands on MPI's world communicator. A process on its own gets a communicator of
/// size one that never touches MPI. `InProcessRanks` makes the ranks threads of one process, for tests.
/// Collective calls must be made by every rank in the same order, and on one communicator by one thread at a
/// time; the reduction thread of `GradientReducer` has a communicator of its own.
public final class Communicator: Sendable {
  let transport: any Transport
  private let place: RankPlace
  private let isOpen = Mutex(true)

  /// This rank's number, from 0 to `size - 1`.
  public var rank: Int { place.rank }
  /// How many ranks take part.
  public var size: Int { place.size }
  /// This rank's number among those on the same node.
  public var localRank: Int { place.localRank }
  /// How many of the ranks run on this node.
  public var localSize: Int { place.localSize }
  /// The name of this node.
  public var hostname: String { place.hostname }
  /// Whether this is the rank that prints, logs and writes checkpoints.
  public var isRoot: Bool { place.rank == 0 }

  /// This rank's range of `count` items; the ranges of all ranks cover them without gap or overlap.
  package func stretch(of count: Int) -> Range<Int> { count * rank / size..<count * (rank + 1) / size }

  /// The name and version of the MPI library; known without starting MPI.
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
    case .underLauncher(let name, let size):
      return Communicator(try MPITransport(launcher: name, expectedSize: size))
    }
  }

  /// One process on its own.
  public convenience init() {
    self.init(LocalTransport())
  }

  init(_ transport: any Transport) {
    self.transport = transport
    place = transport.place
  }

  /// The same ranks with a separate stream of messages, for another thread. Collective.
  public func duplicate() throws -> Communicator {
    Communicator(try transport.duplicate())
  }

  /// Leaves the job in order, together with all other ranks; a second call does nothing.
  ///
  /// On a duplicate it gives back the duplicate alone. After `start()`'s communicator has finished, nothing
  /// may be sent.
  public func finish() {
    let wasOpen = isOpen.withLock { isOpen in
      defer { isOpen = false }
      return isOpen
    }
    if wasOpen { transport.close() }
  }

  /// Prints one rank's error once, with its rank and host, and ends the whole job.
  ///
  /// An in-process rank prints nothing: `InProcessRanks.run` throws the error, and the calling thread stops.
  public func fail(_ error: any Error, exitCode: Int32 = 1) -> Never {
    transport.fail(error, exitCode: exitCode)
  }

  /// Ends the whole job at once, every rank of it, with a non-zero code.
  ///
  /// An in-process rank does not end the process: `InProcessRanks.run` throws, and the calling thread stops.
  public func abort(_ exitCode: Int32) -> Never {
    transport.abort(exitCode)
  }
}

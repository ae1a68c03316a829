import Foundation

/// A file that one process at a time holds. The system takes the lock away from a process that ends, however it ends.
///
/// Where the file system has no locks, as on some clusters, every process gets one, and learns that it guards nothing
/// (`absence`): the file then only says who came last.
public final class FileLock {
  private let descriptor: Int32

  /// Why the file is not locked, in the system's words, and who else came here and has not left; nil where it is.
  public let absence: String?

  /// Makes the file if it is not there, and takes the lock; nil where another holds it.
  public init?(_ path: String) throws {
    let descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o666)
    guard descriptor >= 0 else { throw FileSystem.failure(path, "write") }
    var absence: String?
    if let code = Self.lock(descriptor) {
      switch LockRefusal(code: code, of: path) {
      case .held:
        close(descriptor)
        return nil
      case .noLocks(let reason): absence = reason + FileLock.note(in: path)
      case nil:
        defer { close(descriptor) }
        throw FileSystem.failure(path, "lock", code: code)
      }
    }
    (self.descriptor, self.absence) = (descriptor, absence)
    // For whoever is refused; nothing else reads it.
    let text = Array("process \(getpid()) on \(ProcessInfo.processInfo.hostName)\n".utf8)
    ftruncate(descriptor, 0)
    _ = pwrite(descriptor, text, text.count, 0)
  }

  deinit {
    ftruncate(descriptor, 0)
    close(descriptor)
  }

  /// Who holds the lock, in parentheses, where it can be known: as the file says, or on this machine the system.
  public static func holder(of path: String) -> String {
    let note = note(in: path)
    return note.isEmpty ? LockRefusal.holders(of: path) : note
  }

  /// What the file says of who has it, in parentheses.
  private static func note(in path: String) -> String {
    let text = (try? FileSystem.readText(path))?.trimmingCharacters(in: .whitespacesAndNewlines) ?? ""
    return text.isEmpty ? "" : " (\(text))"
  }

  /// Takes an open file's lock, without waiting; the system's number for what is wrong where it does not give it.
  static func lock(_ descriptor: Int32) -> Int32? {
    while flock(descriptor, LOCK_EX | LOCK_NB) != 0 {
      if errno != EINTR { return errno }
    }
    return nil
  }
}

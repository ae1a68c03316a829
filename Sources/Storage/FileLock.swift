import Foundation

/// A file that one process at a time holds. The system takes the lock away from a process that ends, however it ends.
public final class FileLock {
  private let descriptor: Int32

  /// Makes the file if it is not there, and takes the lock; nil where another holds it.
  ///
  /// File systems that know no locks give every lock to everybody.
  public init?(_ path: String) throws {
    let descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o666)
    guard descriptor >= 0 else { throw FileSystem.failure(path, "write") }
    if flock(descriptor, LOCK_EX | LOCK_NB) != 0, errno == EWOULDBLOCK {
      close(descriptor)
      return nil
    }
    self.descriptor = descriptor
    // For whoever is refused; nothing else reads it.
    let text = Array("process \(getpid()) on \(ProcessInfo.processInfo.hostName)\n".utf8)
    ftruncate(descriptor, 0)
    _ = pwrite(descriptor, text, text.count, 0)
  }

  deinit { close(descriptor) }

  /// Who holds the lock, in parentheses, where it can be read.
  public static func holder(of path: String) -> String {
    let text = (try? FileSystem.readText(path))?.trimmingCharacters(in: .whitespacesAndNewlines) ?? ""
    return text.isEmpty ? "" : " (\(text))"
  }
}

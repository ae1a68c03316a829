import Foundation
import Storage
import Testing

/// Files that another process has locked.
@Suite struct HDF5LockingTests {
  /// Runs `body` while the file has a lock that is not HDF5's.
  private func withLock<Result>(on path: String, _ body: () throws -> Result) throws -> Result {
    let descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o666)
    try #require(descriptor >= 0)
    defer { close(descriptor) }
    try #require(flock(descriptor, LOCK_EX | LOCK_NB) == 0)
    return try body()
  }

  @Test func readingTakesNoLock() throws {
    try withTemporaryFolder { folder in
      let path = folder + "/values.h5"
      try HDF5File.atomicallyWrite(to: path) { try $0.write([1, 2] as [Float], shape: [2], to: "x") }
      let values = try withLock(on: path) { try HDF5File(opening: path).read("x", as: Float.self) }
      #expect(values == [1, 2])
    }
  }

  @Test func whoHasLockedAFileThatIsWrittenIsNamed() throws {
    try withTemporaryFolder { folder in
      let path = folder + "/values.h5"
      let error = try withLock(on: path) { storageError { try HDF5File(creating: path) } }
      let known = FileManager.default.fileExists(atPath: "/proc/locks") ? " (process \(getpid())" : ""
      #expect(
        error?.problem.hasPrefix("cannot create the file: another process has locked it" + known) == true)
      #expect(error?.advice == "wait for it, or end it")
      #expect(try HDF5File(creating: path).path == path)
      // The file that was tried beside it is gone.
      #expect(try FileManager.default.contentsOfDirectory(atPath: folder) == ["values.h5"])
    }
  }
}

import Foundation
import Storage
import Testing

@Suite struct FileSystemTests {
  @Test func leftoversOfDeadWritersAreRemovedAndNothingElse() throws {
    try withTemporaryFolder { folder in
      for name in [
        ".step-1.h5.partial-123", ".a.partial-9", "step-1.h5", ".x.partial-", ".partial-y", "b.partial-3",
      ] {
        #expect(FileManager.default.createFile(atPath: folder + "/" + name, contents: Data([1])))
      }
      let removed = try FileSystem.removePartialFiles(in: folder)
      #expect(removed == [".a.partial-9", ".step-1.h5.partial-123"])
      #expect(
        try FileManager.default.contentsOfDirectory(atPath: folder).sorted()
          == [".partial-y", ".x.partial-", "b.partial-3", "step-1.h5"])
      #expect(
        storageError { try FileSystem.removePartialFiles(in: folder + "/none") }?.path == folder + "/none")
    }
  }

  @Test func replacingIsAllOrNothing() throws {
    struct Interruption: Error {}
    try withTemporaryFolder { folder in
      let path = folder + "/config.yaml"
      try FileSystem.atomicallyReplace(path) {
        try "old".write(toFile: $0, atomically: false, encoding: .utf8)
      }
      #expect(throws: Interruption.self) {
        try FileSystem.atomicallyReplace(path) { partial in
          try "new".write(toFile: partial, atomically: false, encoding: .utf8)
          throw Interruption()
        }
      }
      #expect(try String(contentsOfFile: path, encoding: .utf8) == "old")
      #expect(try FileManager.default.contentsOfDirectory(atPath: folder) == ["config.yaml"])
    }
  }

  @Test func readingPastTheEndIsAnError() throws {
    try withTemporaryFolder { folder in
      let path = folder + "/bytes"
      try Data([1, 2, 3, 4]).write(to: URL(fileURLWithPath: path))
      let descriptor = open(path, O_RDONLY)
      defer { close(descriptor) }
      var bytes = [UInt8](repeating: 0, count: 3)
      try bytes.withUnsafeMutableBytes { try FileSystem.read(descriptor, path, $0, at: 1) }
      #expect(bytes == [2, 3, 4])
      let error = storageError {
        try bytes.withUnsafeMutableBytes { try FileSystem.read(descriptor, path, $0, at: 2) }
      }
      #expect(error?.problem.contains("ends at byte 4") == true)
    }
  }
}

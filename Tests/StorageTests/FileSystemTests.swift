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

  @Test func outputsAreWhereFilesCanBe() throws {
    try withTemporaryFolder { folder in
      let run = folder + "/run"
      try FileSystem.makeFolder(run + "/checkpoints")
      for name in ["/data.h5", "/run/checkpoints/step-000000001.h5"] {
        try FileSystem.write("bytes", to: folder + name)
      }
      try FileManager.default.createSymbolicLink(
        atPath: folder + "/link.h5", withDestinationPath: folder + "/data.h5")
      try FileSystem.requireOutput(folder + "/new.h5", madeFrom: [folder + "/data.h5", run])
      try FileSystem.requireOutput(folder + "/data.h5", madeFrom: [run])
      try FileSystem.requireOutput("x", madeFrom: [run])
      for (output, inputs, token) in [
        ("/data.h5", ["/data.h5"], "would replace"), ("/data.h5", ["/none", "/link.h5"], "would replace"),
        ("/link.h5", ["/data.h5"], "would replace"),
        ("/run/checkpoints/step-000000001.h5", ["/run"], "would"),
        ("/run", [], "is a folder"), ("/none/x", [], "no folder"), ("/data.h5/x", [], "no folder"),
        ("/", [], "names no file"),
      ] {
        let error = storageError {
          try FileSystem.requireOutput(folder + output, madeFrom: inputs.map { folder + $0 })
        }
        #expect(error?.description.contains(token) == true, "\(output): \(error?.description ?? "no error")")
      }
      #expect(storageError { try FileSystem.requireOutput("/dev/null") }?.problem.contains("regular") == true)
      #expect(storageError { try FileSystem.atomicallyReplace("/dev/null") { _ in } } != nil)
    }
  }

  @Test(arguments: [
    ("x", ".", "x"), ("a/b", "a", "b"), ("/x", "/", "x"), ("a/", "a", ""), ("/a/b.h5", "/a", "b.h5"),
  ])
  func aPathHasAFolderAndAName(path: String, folder: String, name: String) {
    #expect(FileSystem.folder(of: path) == folder)
    #expect(FileSystem.name(of: path) == name)
  }

  @Test func aLockIsOnesUntilItGoes() throws {
    try withTemporaryFolder { folder in
      let path = folder + "/.lock"
      var first = try FileLock(path)
      #expect(first != nil)
      #expect(try FileLock(path) == nil)
      #expect(FileLock.holder(of: path).contains("process \(getpid()) on "))
      #expect(first?.absence == nil)
      first = nil
      // Who left is no longer named.
      #expect(FileLock.holder(of: path) == "")
      #expect(try FileLock(path) != nil)
      #expect(storageError { try FileLock(folder + "/none/.lock") } != nil)
    }
  }

  @Test func aByteOrderMarkIsNoText() throws {
    try withTemporaryFolder { folder in
      for text in ["seed: 3\n", "", "\u{E9}\u{FEFF}"] {
        try Data("\u{FEFF}\(text)".utf8).write(to: URL(fileURLWithPath: folder + "/text"))
        #expect(Array(try FileSystem.readText(folder + "/text").utf8) == Array(text.utf8))
      }
    }
  }

  @Test func whatIsNoTextOrFolderIsSaid() throws {
    try withTemporaryFolder { folder in
      try Data([0x61, 0xFF]).write(to: URL(fileURLWithPath: folder + "/latin"))
      #expect(storageError { try FileSystem.readText(folder + "/latin") }?.problem.contains("UTF-8") == true)
      #expect(storageError { try FileSystem.readText(folder) }?.problem.contains("is a folder") == true)
      #expect(
        storageError { try FileSystem.makeFolder(folder + "/latin/x") }?.description.contains("latin") == true
      )
      try FileSystem.makeFolder(folder + "/a/b/c")
      try FileSystem.makeFolder(folder + "/a/b/c")
      #expect(storageError { try FileSystem.makeFolder(folder + "/latin") }?.problem.contains("way") == true)
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

import Foundation
import Storage
import Testing

/// What people have where weights should be.
@Suite struct TensorFilesTests {
  private func failure(_ path: String) -> String {
    let error = #expect(throws: StorageError.self) { try TensorFiles.open(path) }
    return error.map { "\($0)" } ?? ""
  }

  @Test(arguments: [
    ("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n", "Git LFS", "git lfs pull"),
    ("<!DOCTYPE html><html><body>Not found</body></html>", "a web page", "fetch the file itself"),
    ("\n  <HTML>\n", "a web page", "fetch the file itself"),
    ("", "empty", "anew"), ("\u{1F}", "not known", "safetensors"),
    ("{\"a\": 1}", "weight_map", "index"), ("GGUF....", "GGUF", "safetensors"),
    ("hello", "not known", "safetensors"),
  ])
  func otherFilesAreNamed(_ text: String, _ kind: String, _ advice: String) throws {
    try withTemporaryFolder { folder in
      let path = folder + "/model.safetensors"
      try Data(text.utf8).write(to: URL(fileURLWithPath: path))
      let message = failure(path)
      #expect(message.contains(kind) && message.contains(advice), "\(message)")
    }
  }

  @Test func namesSayNothingAndContentsAll() throws {
    try withTemporaryFolder { folder in
      let path = folder + "/weights.bin"
      try SafetensorsFile.write(tensors: [("a", [2], [1, 2])], to: path)
      #expect(try TensorFiles.open(path).readFloats("a") == [1, 2])
      // The one file of a folder.
      #expect(try TensorFiles.open(folder).readFloats("a") == [1, 2])
      try SafetensorsFile.write(tensors: [("b", [], [1])], to: folder + "/other.bin")
      #expect(failure(folder).contains("other.bin, weights.bin"))
      try SafetensorsFile.write(tensors: [("c", [], [3])], to: folder + "/model.safetensors")
      #expect(try TensorFiles.open(folder).names == ["c"])
      #expect(failure(folder + "/nowhere").contains("nowhere"))
      mkfifo(folder + "/fifo", 0o600)
      #expect(failure(folder + "/fifo").contains("not a regular file"))
    }
  }

  // MARK: - Several files

  /// Two files with an index, which is changed by `edit`.
  private func shards(_ folder: String, _ edit: (inout [String: String]) -> Void = { _ in }) throws -> String
  {
    try SafetensorsFile.write(
      tensors: [("a", [2], [1, 2]), ("b", [], [3])], metadata: ["format": "pt"],
      to: folder + "/model-00001-of-00002.safetensors")
    try SafetensorsFile.write(tensors: [("c", [1], [4])], to: folder + "/model-00002-of-00002.safetensors")
    var map = [
      "a": "model-00001-of-00002.safetensors", "b": "model-00001-of-00002.safetensors",
      "c": "model-00002-of-00002.safetensors",
    ]
    edit(&map)
    let index = folder + "/model.safetensors.index.json"
    try JSONSerialization.data(withJSONObject: ["metadata": ["total_size": 16], "weight_map": map])
      .write(to: URL(fileURLWithPath: index))
    return index
  }

  @Test func anIndexHoldsSeveralFilesTogether() throws {
    try withTemporaryFolder { folder in
      let index = try shards(folder)
      for path in [index, folder] {
        let file = try TensorFiles.open(path)
        #expect(file.names == ["a", "b", "c"] && file.path == index && file.metadata == ["format": "pt"])
        #expect(try file.readFloats("a") == [1, 2] && file.readFloats("c") == [4])
        #expect(throws: StorageError.self) { try file.readFloats("d") }
      }
      let alone = failure(folder + "/model-00002-of-00002.safetensors")
      #expect(alone.contains("one of 2 files") && alone.contains("give \(index)"), "\(alone)")
      try FileManager.default.removeItem(atPath: index)
      #expect(failure(folder + "/model-00001-of-00002.safetensors").contains("fetch the others"))
    }
  }

  @Test func anIndexThatDoesNotFitIsRefused() throws {
    let cases: [((inout [String: String]) -> Void, String)] = [
      ({ $0["d"] = "model-00003-of-00003.safetensors" }, "not beside the index"),
      ({ $0["d"] = "model-00002-of-00002.safetensors" }, "is not in model-00002"),
      ({ $0["b"] = nil }, "does not name it"), ({ $0["d"] = "../secret.safetensors" }, "no name of a file"),
    ]
    for (edit, problem) in cases {
      try withTemporaryFolder { folder in
        let message = failure(try shards(folder, edit))
        #expect(message.contains(problem), "\(message)")
      }
    }
  }
}

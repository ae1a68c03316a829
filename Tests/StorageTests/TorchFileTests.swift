import Foundation
import Storage
import Testing

/// Files of `torch.save` as `make_torch_fixtures.py` writes them.
@Suite struct TorchFileTests {
  private func path(_ name: String) -> String {
    URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent(
      "Fixtures/torch/\(name)"
    )
    .path
  }

  private static let base = (0..<24).map { Float($0) / 4 - 2 }

  /// The tensors of the fixtures, by what is below their keys.
  private static let expected: [String: (shape: [Int], values: [Float])] = [
    "blocks.0.norm.weight": ([6], Array(base[..<6])), "parameter": ([6], Array(base[18...])),
    "turned": ([6, 4], (0..<24).map { base[$0 % 4 * 6 + $0 / 4] }),
    "part": ([2, 3], [6, 8, 10, 12, 14, 16].map { base[$0] }), "scalar": ([], [2.5]), "empty": ([0, 3], []),
    "half": ([6], Array(base[..<6])), "brain": ([6], Array(base[..<6])), "double": ([6], Array(base[..<6])),
  ]

  @Test(arguments: [("state", ""), ("old", ""), ("nested", "model."), ("nested_old", "model.")])
  func tensorsAreThoseThatWereSaved(_ name: String, _ prefix: String) throws {
    let file = try TensorFiles.open(path("\(name).pth"))
    #expect(file is TorchFile)
    #expect(Set(file.names) == Set((Self.expected.keys + ["steps"]).map { prefix + $0 }))
    for (key, (shape, values)) in Self.expected {
      #expect(try file.shape(of: prefix + key) == shape, "\(key)")
      #expect(try file.readFloats(prefix + key) == values, "\(key)")
    }
    let error = #expect(throws: StorageError.self) { try file.readFloats(prefix + "steps") }
    #expect(try #require(error).problem.contains("I64"))
  }

  /// Opening would leave a file behind if it did.
  @Test func nothingIsExecuted() throws {
    let mark = "/tmp/peco-executed"
    try? FileManager.default.removeItem(atPath: mark)
    #expect(try TensorFiles.open(path("payload.pth")).names == ["model.weight"])
    #expect(throws: StorageError.self) { try TensorFiles.open(path("payload_alone.pth")) }
    #expect(!FileManager.default.fileExists(atPath: mark))
  }

  @Test(arguments: [
    ("module", "a whole object of __main__.Module"), ("no_tensors", "no tensors"),
    ("payload_alone", "whole object"),
  ])
  func whatIsNoDictionaryOfTensorsIsNamed(_ name: String, _ problem: String) throws {
    let error = try #require(#expect(throws: StorageError.self) { try TensorFiles.open(path("\(name).pth")) })
    #expect(error.problem.contains(problem), "\(error)")
    #expect(try #require(error.advice).contains("safetensors"))
  }

  /// Wherever a file was cut or changed, there is an error or a tensor, and nothing else.
  @Test(arguments: ["state", "old", "nested", "nested_old"]) func damageIsAnError(_ name: String) throws {
    let whole = [UInt8](try Data(contentsOf: URL(fileURLWithPath: path("\(name).pth"))))
    try withTemporaryFolder { folder in
      let damaged = folder + "/damaged.pth"
      func read(_ bytes: [UInt8]) throws {
        try Data(bytes).write(to: URL(fileURLWithPath: damaged))
        do {
          let file = try TensorFiles.open(damaged)
          for name in file.names { _ = try file.readFloats(name) }
        } catch is StorageError {}
      }
      for length in stride(from: 0, to: whole.count, by: 7) { try read(Array(whole[..<length])) }
      for place in stride(from: 0, to: whole.count, by: 3) {
        for change: UInt8 in [0x01, 0x80, 0xFF] {
          var bytes = whole
          bytes[place] ^= change
          try read(bytes)
        }
      }
    }
  }

  /// Pickles by hand: the instructions of a dictionary with one tensor, and something else in it.
  private func unpickled(_ bytes: [UInt8]) throws -> PickleValue {
    try bytes.withUnsafeBytes {
      let reader = Unpickler($0)
      return try reader.read()
    }
  }

  @Test func otherInstructionsAreRefused() throws {
    // INST, OBJ, EXT1, a persistent identifier as text, a number as text: none is in files of torch.save.
    for code in Array("io\u{82}PIL".utf8.prefix(2)) + [0x82, 0x50, 0x49, 0x4C, 0x46] {
      let error = try #require(
        #expect(throws: PickleError.self) { try unpickled([0x80, 2, 0x28, code, 0x0A, 0x2E]) })
      #expect(error.problem.contains("instruction"), "\(code): \(error.problem)")
    }
    #expect(throws: PickleError.self) { try unpickled([]) }
    #expect(throws: PickleError.self) { try unpickled(Array("u.".utf8)) }
    #expect(throws: PickleError.self) { try unpickled(Array("h\u{1}.".utf8)) }
    // A text of 2³¹ bytes that is not there.
    #expect(throws: PickleError.self) { try unpickled([0x58, 0xFF, 0xFF, 0xFF, 0x7F, 0x41]) }
  }
}

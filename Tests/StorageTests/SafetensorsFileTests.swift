import Foundation
import Storage
import Testing

@Suite struct SafetensorsFileTests {
  @Test func filesOfThePythonLibraryAreRead() throws {
    let file = try SafetensorsFile(opening: fixture("torch.safetensors"))
    #expect(
      file.names == [
        "empty", "index", "ramp.bf16", "ramp.f16", "ramp.f32", "ramp.f64", "scalar", "special.bf16",
        "special.f16",
      ])
    #expect(file.metadata == ["format": "pt", "note": "größer"])
    let ramp = (-4..<4).map { Float($0) * 0.375 }
    for dtype in ["f32", "f16", "bf16", "f64"] {
      #expect(try file.readFloats("ramp." + dtype) == ramp)
      #expect(try file.shape(of: "ramp." + dtype) == [2, 4])
      #expect(try file.dtype(of: "ramp." + dtype) == dtype.uppercased())
    }
    let special = try file.readFloats("special.f16")
    #expect(special == [0, -0.0, 65504, 0x1p-24, 0x1p-14, .infinity, -.infinity, 0.333_251_95])
    #expect(special[1].sign == .minus)
    #expect(try file.readFloats("special.bf16")[5...] == [.infinity, -.infinity, 0.333_984_38])
    #expect(try file.readFloats("scalar") == [2.5])
    #expect(try file.shape(of: "scalar") == [])
    #expect(try file.readFloats("empty") == [])
    #expect(try file.readIntegers("index") == [0, 1, 2])
    #expect(storageError { try file.readIntegers("ramp.f32") }?.problem.contains("holds F32") == true)
    #expect(storageError { try file.readFloats("index") }?.problem.contains("holds I64") == true)
    let missing = storageError { try file.readFloats("head.weight") }
    #expect(missing?.object == "head.weight")
    #expect(missing?.advice?.contains("ramp.f16") == true)
  }

  @Test func tensorsReturnAsWritten() throws {
    try withTemporaryFolder { folder in
      let path = folder + "/weights.safetensors"
      let metadata = ["layout": "timm", "peco.classes": #"["größe", "a \"b\" / c", "\u0001"]"#]
      let large = (0..<300_000).map { Float($0) * 0.5 }
      try SafetensorsFile.write(
        tensors: [
          ("b/größe \"x\"", [2, 2], [1, .nan, -.infinity, -0.0]), ("a", [300_000], large),
          ("scalar", [], [7]),
          ("none", [0, 3], []),
        ], metadata: metadata, to: path)
      let file = try SafetensorsFile(opening: path)
      #expect(file.names == ["a", "b/größe \"x\"", "none", "scalar"])
      #expect(file.metadata == metadata)
      let values = try file.readFloats("b/größe \"x\"")
      #expect(values[0] == 1 && values[1].isNaN && values[2] == -.infinity && values[3].sign == .minus)
      #expect(try file.readFloats("a") == large)
      #expect(try file.shape(of: "none") == [0, 3])
      #expect(try file.readFloats("scalar") == [7])
      #expect(!file.contains("c") && file.contains("a"))
      let contents = try Data(contentsOf: URL(fileURLWithPath: path))
      #expect(Int(contents[0]) % 8 == 0)

      #expect(storageError { try SafetensorsFile.write(tensors: [("a", [2], [1])], to: path) }?.object == "a")
      #expect(
        storageError { try SafetensorsFile.write(tensors: [("a", [], [1]), ("a", [], [1])], to: path) } != nil
      )
      #expect(try SafetensorsFile(opening: path).readFloats("a") == large)
    }
  }

  @Test func halvesAreRoundedToNearest() throws {
    try withTemporaryFolder { folder in
      let path = folder + "/weights.safetensors"
      let values: [Float] = [
        0, -0.0, 1, 1.00390625, 1.01171875, -3.14159, 6.1e-5, 5.9e-8, 65504, .infinity, .nan, 0.333,
      ]
      for (type, expected) in [
        // Ties go to even: 1 + 2⁻⁸ down, 1 + 3 · 2⁻⁸ up.
        (
          SafetensorsFile.ElementType.bfloat16,
          [
            0, -0.0, 1, 1, 1.015625, -3.140625, 6.103515625e-5, 5.8906152844429016e-08, 65536, .infinity,
            .nan, 0.33203125,
          ]
            as [Float]
        ),
        (
          .float16,
          [
            0, -0.0, 1, 1.00390625, 1.01171875, -3.140625, 6.097555160522461e-05, 5.960464477539063e-08,
            65504,
            .infinity, .nan, 0.3330078125,
          ]
        ),
      ] {
        try SafetensorsFile.write(tensors: [("a", [12], values)], as: type, to: path)
        let file = try SafetensorsFile(opening: path)
        let found = try file.readFloats("a")
        for (value, wanted) in zip(found, expected) {
          #expect(value == wanted || value.isNaN && wanted.isNaN, "\(type)")
        }
      }
      let error = storageError {
        try SafetensorsFile.write(tensors: [("b", [2], [1, 7e4])], as: .float16, to: path)
      }
      #expect(error?.object == "b" && error?.problem.contains("70000") == true)
    }
  }

  @Test(.enabled(if: canFillDisk)) func aFullDiskLeavesTheFileAsItWas() throws {
    try withTemporaryFolder { folder in
      let path = folder + "/x.safetensors"
      let large = (0..<300_000).map { Float($0) }
      try SafetensorsFile.write(tensors: [("a", [300_000], large)], to: path)
      try fillDisk(beneath: path)
      let full = storageError { try SafetensorsFile.write(tensors: [("a", [300_000], large)], to: path) }
      #expect(full?.description.contains("No space left on device") == true)
      #expect(try SafetensorsFile(opening: path).readFloats("a") == large)
    }
  }

  private func problem(_ bytes: [UInt8]) throws -> String? {
    try withTemporaryFolder { folder in
      let path = folder + "/x.safetensors"
      try Data(bytes).write(to: URL(fileURLWithPath: path))
      return storageError { try SafetensorsFile(opening: path) }?.description
    }
  }

  @Test func whatIsNoSafetensorsFileIsRefused() throws {
    try withTemporaryFolder { folder in
      let missing = storageError { try SafetensorsFile(opening: folder + "/none") }
      #expect(missing?.problem.contains("No such file") == true)
      #expect(storageError { try SafetensorsFile(opening: folder) }?.problem == "is not a regular file")
    }
    let short = try problem([1, 2, 3])
    #expect(short?.contains("has only 3 bytes") == true)
    let text = try problem(Array("hello, I am no safetensors file".utf8))
    #expect(text?.contains("says its header has") == true)
  }

  @Test(arguments: [
    (#"[1, 2]"#, 0, "not a JSON object"),
    (#"{"a": 3}"#, 0, "a: the header's entry is no object"),
    (#"{"a": {"dtype": "F32"}}"#, 0, "lacks its dtype"),
    (#"{"a": {"dtype": "Q4", "shape": [2], "data_offsets": [0, 8]}}"#, 8, "unknown type Q4"),
    (#"{"a": {"dtype": "F32", "shape": [3], "data_offsets": [0, 8]}}"#, 8, "do not fit F32"),
    (#"{"a": {"dtype": "F32", "shape": [-2], "data_offsets": [0, 8]}}"#, 8, "impossible shape"),
    (
      #"{"a": {"dtype": "F32", "shape": [4611686018427387904, 4], "data_offsets": [0, 0]}}"#, 8,
      "impossible shape"
    ),
    (#"{"a": {"dtype": "F32", "shape": [2], "data_offsets": [-8, 0]}}"#, 8, "do not fit"),
    (#"{"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}"#, 7, "cut short"),
    (
      #"{"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}, "#
        + #""b": {"dtype": "F32", "shape": [2], "data_offsets": [4, 12]}}"#, 12, "b: overlaps 'a'"
    ),
    (#"{"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}"#, 8, nil),
  ])
  func everyEntryOfTheHeaderIsChecked(header: String, data: Int, expected: String?) throws {
    let text = Array(header.utf8)
    let length = withUnsafeBytes(of: UInt64(text.count).littleEndian) { Array($0) }
    let found = try problem(length + text + [UInt8](repeating: 0, count: data))
    if let expected {
      #expect(found?.contains(expected) == true, "\(found ?? "no error")")
    } else {
      #expect(found == nil)
    }
  }
}

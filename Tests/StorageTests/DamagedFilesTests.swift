import Foundation
import Storage
import Testing

/// What a file can say that no sound one does: each is an error, and never a crash, a long wait or a full memory.
@Suite struct DamagedFilesTests {
  /// The inputs that fuzzing starts from.
  private static let seeds = ["safetensors", "torch"].flatMap { target in
    let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
      .appendingPathComponent("../Fuzzing/Corpus/\(target)").standardized.path
    let names = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
    return names.sorted().map { "\(folder)/\($0)" }
  }

  /// All are sound, and stay readable or become an error where they are cut short or a byte of them changes.
  @Test(arguments: seeds)
  func everySeedIsReadOrRefused(_ seed: String) throws {
    let bytes = Array(try Data(contentsOf: URL(fileURLWithPath: seed)))
    _ = try read(bytes)
    for place in stride(from: 0, to: bytes.count, by: 7) {
      var changed = bytes
      changed[place] ^= 0xFF
      _ = try? read(changed)
      _ = try? read(Array(bytes[..<place]))
    }
  }

  @Test func sidesOfNoElementsMayBeOfAnyLength() throws {
    let file = PickledFile.tensor(shape: [0, 1 << 60, 8], strides: [1, 8, 1])
    #expect(try read(file) == ["w": []])
    let far = PickledFile.tensor(shape: [0], strides: [1], offset: .max)
    #expect(storageError { try read(far) }?.problem.contains("reaches beyond") == true)
  }

  @Test func aSideOfOneElementMayHaveAnyStride() throws {
    let file = PickledFile.tensor(shape: [2, 1], strides: [2, .max])
    #expect(try read(file) == ["w": [0, 2]])
  }

  @Test(arguments: [
    [UInt8](repeating: UInt8(ascii: "]"), count: 300_000)
      + [UInt8](repeating: UInt8(ascii: "a"), count: 299_999),
    [UInt8(ascii: ")")] + [UInt8](repeating: 0x85, count: 300_000),
  ])
  func valuesMayLieDeepInOneAnother(_ value: [UInt8]) throws {
    var pickle = PickledFile()
    pickle.put("}")
    pickle.text("k")
    pickle.bytes += value
    pickle.put("s.")
    let error = storageError { try read(pickle.file()) }
    #expect(error?.problem.contains("no tensors") == true, "\(String(describing: error))")
  }

  @Test func namesWithoutEndAreRefused() throws {
    var pickle = PickledFile()
    // A long key (1), a dictionary of a thousand tensors (2), and a thousand times that dictionary under the key.
    pickle.text(String(repeating: "k", count: 10_000))
    pickle.put("q\u{1}0}q\u{2}")
    pickle.text("0")
    pickle.tensor(shape: [1], strides: [1])
    pickle.put("q\u{3}s")
    for number in 1..<1000 {
      pickle.text("\(number)")
      pickle.put("h\u{3}s")
    }
    pickle.put("0}")
    for number in 0..<1000 {
      pickle.text("\(number)")
      pickle.put("}h\u{1}h\u{2}ss")
    }
    pickle.put(".")
    let error = storageError { try read(pickle.file()) }
    #expect(error?.problem.contains("names") == true, "\(String(describing: error))")
  }

  @Test func aZipMayClaimMoreMembersThanThereAreNumbers() throws {
    func number(_ value: UInt64, _ width: Int) -> [UInt8] {
      (0..<width).map { UInt8(truncatingIfNeeded: value >> (8 * UInt64($0))) }
    }
    let large =
      number(0x0606_4B50, 4) + [UInt8](repeating: 0, count: 20) + number(.max, 8) + number(.max, 8)
      + number(0, 16)
    let locator = number(0x0706_4B50, 4) + number(0, 4) + number(4, 8) + number(1, 4)
    let end = number(0x0605_4B50, 4) + number(0, 4) + number(.max, 12) + number(0, 2)
    let error = storageError { try read(number(0x0403_4B50, 4) + large + locator + end) }
    #expect(error?.problem.contains("more members") == true, "\(String(describing: error))")
  }

  /// Only what says where tensors lie is taken into memory.
  @Test func aPickleMayStandBeforeAnySize() throws {
    try withTemporaryFolder { folder in
      let path = folder + "/weights"
      try Data(PickledFile.tensor(shape: [4], strides: [1])).write(to: URL(fileURLWithPath: path))
      #expect(truncate(path, 1 << 40) == 0)
      #expect(try TensorFiles.open(path).readFloats("w") == [0, 1, 2, 3])
    }
  }

  @Test func anIndexOfGigabytesIsNone() throws {
    try withTemporaryFolder { folder in
      let path = folder + "/model.safetensors.index.json"
      try FileSystem.write("{", to: path)
      #expect(truncate(path, 8 << 30) == 0)
      #expect(storageError { try TensorFiles.open(path) }?.problem.contains("more than 256 MiB") == true)
    }
  }

  /// `make_fixtures.py` asks for 2 GiB of numbers, and writes none.
  @Test func whatWasNeverWrittenIsNotRead() throws {
    let file = try HDF5File(opening: fixture("unwritten.h5"))
    for name in ["numbers", "strings"] {
      let error = storageError {
        name == "numbers" ? try file.read(name, as: UInt64.self).count : try file.readStrings(name).count
      }
      #expect(error?.problem.contains("ever written") == true, "\(name): \(String(describing: error))")
    }
  }

  /// Reads all tensors of a file.
  private func read(_ bytes: [UInt8]) throws -> [String: [Float]] {
    try withTemporaryFolder { folder in
      let path = folder + "/weights"
      try Data(bytes).write(to: URL(fileURLWithPath: path))
      let file = try TensorFiles.open(path)
      return Dictionary(uniqueKeysWithValues: file.names.map { ($0, (try? file.readFloats($0)) ?? []) })
    }
  }
}

/// Makes files of `torch.save` in the form before PyTorch 1.6, with one storage of four floats.
private struct PickledFile {
  var bytes: [UInt8] = [0x80, 2]

  mutating func put(_ text: String) { bytes += Array(text.utf8) }

  mutating func text(_ text: String) {
    put("X")
    withUnsafeBytes(of: UInt32(text.utf8.count).littleEndian) { bytes.append(contentsOf: $0) }
    put(text)
  }

  mutating func number(_ value: Int) {
    bytes += [0x8A, 8]
    withUnsafeBytes(of: Int64(value).littleEndian) { bytes.append(contentsOf: $0) }
  }

  mutating func tensor(shape: [Int], strides: [Int], offset: Int = 0) {
    put("ctorch._utils\n_rebuild_tensor_v2\n((")
    text("storage")
    put("ctorch\nFloatStorage\n")
    text("0")
    text("cpu")
    number(4)
    put("tQ")
    number(offset)
    for numbers in [shape, strides] {
      put("(")
      for value in numbers { number(value) }
      put("t")
    }
    put("tR")
  }

  /// A whole file of a tensor called `w`.
  static func tensor(shape: [Int], strides: [Int], offset: Int = 0) -> [UInt8] {
    var pickle = PickledFile()
    pickle.put("}")
    pickle.text("w")
    pickle.tensor(shape: shape, strides: strides, offset: offset)
    pickle.put("s.")
    return pickle.file()
  }

  /// The whole file, this being the pickle of its dictionary.
  func file() -> [UInt8] {
    let magic: [UInt8] = [
      0x80, 2, 0x8A, 10, 0x6C, 0xFC, 0x9C, 0x46, 0xF9, 0x20, 0x6A, 0xA8, 0x50, 0x19, 0x2E,
    ]
    let version: [UInt8] = [0x80, 2, UInt8(ascii: "M"), 0xE9, 3, 0x2E]
    var keys = PickledFile()
    keys.put("]")
    keys.text("0")
    keys.put("a.")
    var storage: [UInt8] = [4, 0, 0, 0, 0, 0, 0, 0]
    for value in 0..<4 {
      withUnsafeBytes(of: Float(value).bitPattern.littleEndian) { storage.append(contentsOf: $0) }
    }
    return magic + version + [0x80, 2, UInt8(ascii: "}"), 0x2E] + bytes + keys.bytes + storage
  }
}

import Foundation

@testable import Storage

extension FuzzTarget {
  /// A safetensors file: its header, and reading all it has.
  static let safetensors = FuzzTarget(name: "safetensors") { bytes in
    let path = try Scratch.write(bytes)
    let file = try SafetensorsFile(opening: path)
    _ = file.metadata
    for name in file.names {
      _ = try? file.readIntegers(name)
      _ = try? file.readFloats(name)
    }
  }

  /// The index of several safetensors files, two of which lie beside it.
  static let index = FuzzTarget(name: "index") { bytes in
    _ = shards
    let path = try Scratch.write(bytes, to: "model" + ShardedSafetensors.indexSuffix)
    try readAll(of: ShardedSafetensors(index: path))
  }

  private static let shards: Void = {
    for (file, tensor) in [("a", "one"), ("b", "two")] {
      try? SafetensorsFile.write(
        tensors: [(tensor, [2], [1, 2])], metadata: ["format": "pt"],
        to: "\(Scratch.folder)/\(file).safetensors")
    }
  }()

  /// A whole file of `torch.save`, of either form, or whatever else its first bytes say.
  static let torch = FuzzTarget(name: "torch") { bytes in
    let path = try Scratch.write(bytes)
    try readAll(of: TensorFiles.open(path))
  }

  /// The pickle of a file of `torch.save`, in an archive that has four storages besides.
  static let pickle = FuzzTarget(name: "pickle") { bytes in
    var archive = StoredArchive()
    archive.add("a/data.pkl", Array(bytes))
    for key in 0..<4 { archive.add("a/data/\(key)", [UInt8](repeating: 1, count: 64)) }
    try readAll(of: TorchFile(opening: Scratch.write(archive.bytes(), to: "input")))
  }

  private static func readAll(of file: any TensorFile) throws {
    for name in file.names { _ = try? file.readFloats(name) }
  }
}

/// Makes zip archives whose members are stored as they are.
private struct StoredArchive {
  private var contents: [UInt8] = []
  private var directory: [UInt8] = []
  private var count: UInt64 = 0

  mutating func add(_ name: String, _ bytes: [UInt8]) {
    let offset = UInt64(contents.count)
    let sizes = number(0, 4) + number(UInt64(bytes.count), 4) + number(UInt64(bytes.count), 4)
    let lengths = number(UInt64(name.utf8.count), 2) + number(0, 2)
    let form = number(0, 2) + number(0, 2) + number(0, 4)
    contents += number(0x0403_4B50, 4) + number(20, 2) + form + sizes + lengths + Array(name.utf8) + bytes
    directory += number(0x0201_4B50, 4) + number(20, 2) + number(20, 2) + form + sizes + lengths
    directory += [UInt8](repeating: 0, count: 10) + number(offset, 4) + Array(name.utf8)
    count += 1
  }

  func bytes() -> [UInt8] {
    contents + directory + number(0x0605_4B50, 4) + number(0, 4) + number(count, 2) + number(count, 2)
      + number(UInt64(directory.count), 4) + number(UInt64(contents.count), 4) + number(0, 2)
  }

  private func number(_ value: UInt64, _ width: Int) -> [UInt8] {
    (0..<width).map { UInt8(truncatingIfNeeded: value >> (8 * UInt64($0))) }
  }
}

import Foundation

/// A file of named tensors in the safetensors format: a JSON header, then the values.
///
/// ```swift
/// let file = try SafetensorsFile(opening: "vit.safetensors")
/// let weight = try file.readFloats("blocks.0.attn.qkv.weight")
/// ```
///
/// The header is checked whole when the file is opened: every tensor lies within the file, has the size its
/// shape and type need, and overlaps no other. Reading is safe on any number of threads.
///
/// Unchecked: all is constant; `pread` moves no file position.
public final class SafetensorsFile: TensorFile, @unchecked Sendable {
  /// What is known of a tensor.
  struct Entry {
    let dtype: String
    let shape: [Int]
    let elementCount: Int
    /// Counted from the end of the header.
    let offset: Int
    let byteCount: Int
  }

  /// The path given when the file was opened.
  public let path: String
  /// The names of the tensors, sorted.
  public let names: [String]
  /// The free-form strings of the header.
  public let metadata: [String: String]
  private let entries: [String: Entry]
  private let descriptor: Int32
  private let dataStart: Int

  /// Opens a file and checks its header.
  public init(opening path: String) throws {
    self.path = path
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw FileSystem.failure(path, "open") }
    do {
      let header = try SafetensorsHeader(reading: descriptor, path)
      entries = header.entries
      metadata = header.metadata
      names = header.entries.keys.sorted()
      dataStart = header.dataStart
      self.descriptor = descriptor
    } catch {
      close(descriptor)
      throw error
    }
  }

  deinit { close(descriptor) }

  /// The dimensions of a tensor; empty for a scalar.
  public func shape(of name: String) throws -> [Int] { try entry(name).shape }

  /// The type of a tensor's elements as the format spells it: `F32`, `BF16`, `I64`, ...
  public func dtype(of name: String) throws -> String { try entry(name).dtype }

  /// Whether the file holds a tensor of this name.
  public func contains(_ name: String) -> Bool { entries[name] != nil }

  /// Reads a tensor of `F32`, `F16`, `BF16` or `F64`.
  public func readFloats(_ name: String, into buffer: UnsafeMutableBufferPointer<Float>) throws {
    try elements(entry(name)).readFloats(from: descriptor, path, name, into: buffer)
  }

  /// Reads a tensor of `I32` or `I64` whose values fit 32 bits, row-major.
  public func readIntegers(_ name: String) throws -> [Int32] {
    let entry = try entry(name)
    var result = [Int32](repeating: 0, count: entry.elementCount)
    func fill<Stored: FixedWidthInteger>(_ type: Stored.Type) throws {
      var stored = [Stored](repeating: 0, count: entry.elementCount)
      try stored.withUnsafeMutableBytes { try elements(entry).read(from: descriptor, path, name, $0, at: 0) }
      for (index, value) in stored.enumerated() {
        guard let number = Int32(exactly: Stored(littleEndian: value)) else {
          throw StorageError(path: path, object: name, problem: "holds \(value), more than 32 bits can")
        }
        result[index] = number
      }
    }
    switch entry.dtype {
    case "I32": try fill(Int32.self)
    case "I64": try fill(Int64.self)
    default:
      throw StorageError(path: path, object: name, problem: "holds \(entry.dtype), expected I32 or I64")
    }
    return result
  }

  private func entry(_ name: String) throws -> Entry {
    guard let entry = entries[name] else { throw missing(name) }
    return entry
  }

  private func elements(_ entry: Entry) -> StoredElements {
    StoredElements(type: entry.dtype, count: entry.elementCount, offset: dataStart + entry.offset)
  }
}

/// The header of a safetensors file, read and checked.
struct SafetensorsHeader {
  let entries: [String: SafetensorsFile.Entry]
  let metadata: [String: String]
  let dataStart: Int

  /// As the reference implementation: a longer header is taken for damage.
  private static let longest: UInt64 = 100_000_000

  init(reading descriptor: Int32, _ path: String) throws {
    func invalid(_ problem: String, object: String? = nil) -> StorageError {
      StorageError(
        path: path, object: object, problem: problem,
        advice: "this is not a safetensors file, or it is damaged")
    }
    var information = stat()
    guard fstat(descriptor, &information) == 0 else { throw FileSystem.failure(path, "read the size") }
    guard information.st_mode & S_IFMT == S_IFREG else { throw invalid("is not a regular file") }
    let size = Int(information.st_size)
    guard size >= 8 else { throw invalid("has only \(size) bytes") }
    var length: UInt64 = 0
    try withUnsafeMutableBytes(of: &length) { try FileSystem.read(descriptor, path, $0, at: 0) }
    length = UInt64(littleEndian: length)
    guard length >= 2, length <= SafetensorsHeader.longest, length <= UInt64(size - 8) else {
      throw invalid("says its header has \(length) bytes, in a file of \(size)")
    }
    dataStart = 8 + Int(length)
    var text = [UInt8](repeating: 0, count: Int(length))
    try text.withUnsafeMutableBytes { try FileSystem.read(descriptor, path, $0, at: 8) }
    guard let json = try? JSONSerialization.jsonObject(with: Data(text)) as? [String: Any] else {
      throw invalid("the header is not a JSON object")
    }

    var entries: [String: SafetensorsFile.Entry] = [:]
    var metadata: [String: String] = [:]
    for (name, value) in json {
      guard let fields = value as? [String: Any] else {
        throw invalid("the header's entry is no object", object: name)
      }
      if name == "__metadata__" {
        metadata = fields.compactMapValues { $0 as? String }
        continue
      }
      guard let dtype = fields["dtype"] as? String, let shape = fields["shape"] as? [Int],
        let offsets = fields["data_offsets"] as? [Int], offsets.count == 2
      else { throw invalid("the header lacks its dtype, shape or data_offsets", object: name) }
      guard let elementSize = StoredElements.sizes[dtype] else {
        throw invalid("has the unknown type \(dtype)", object: name)
      }
      var count = 1
      for dimension in shape {
        let (product, overflow) = count.multipliedReportingOverflow(by: dimension)
        guard dimension >= 0, !overflow else {
          throw invalid("has the impossible shape \(shape)", object: name)
        }
        count = product
      }
      let (bytes, overflow) = count.multipliedReportingOverflow(by: elementSize)
      guard offsets[0] >= 0, offsets[1] >= offsets[0], !overflow, offsets[1] - offsets[0] == bytes else {
        throw invalid("its data_offsets \(offsets) do not fit \(dtype) of shape \(shape)", object: name)
      }
      guard offsets[1] <= size - dataStart else {
        throw StorageError(
          path: path, object: name, problem: "its data end at byte \(offsets[1]) of \(size - dataStart)",
          advice: "the file was cut short, perhaps by a copy that did not finish; copy it anew")
      }
      entries[name] = SafetensorsFile.Entry(
        dtype: dtype, shape: shape, elementCount: count, offset: offsets[0], byteCount: bytes)
    }
    let ordered = entries.filter { $0.value.byteCount > 0 }.sorted { $0.value.offset < $1.value.offset }
    for (first, second) in zip(ordered, ordered.dropFirst())
    where first.value.offset + first.value.byteCount > second.value.offset {
      throw invalid("overlaps '\(first.key)'", object: second.key)
    }
    self.entries = entries
    self.metadata = metadata
  }
}

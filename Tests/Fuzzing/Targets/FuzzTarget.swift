import Foundation

/// A parser that is given bytes nobody has looked at: whatever they are, it returns, or throws an error.
struct FuzzTarget: Sendable {
  let name: String
  /// Gives the parser an input. An error is an answer; a crash, a trap and a wait are faults.
  let parse: @Sendable (UnsafeRawBufferPointer) throws -> Void

  /// Every target there is, by the names that `launch/fuzz` takes.
  static let all = [
    safetensors, index, torch, pickle, weights, beside, image, archive, dataset, checkpoint, card,
    configuration, names,
  ]
}

/// A folder in memory for what parsers want as files; each process has its own.
enum Scratch {
  static let folder: String = {
    let memory = "/dev/shm"
    let parent = FileManager.default.fileExists(atPath: memory) ? memory : NSTemporaryDirectory()
    let folder = "\(parent)/peco-fuzz-\(getpid())"
    for path in [folder, "\(folder)/weights", "\(folder)/beside"] { mkdir(path, 0o700) }
    return folder
  }()

  /// Writes a file of the folder, and makes it longer where `size` is given: what is behind the bytes takes no memory.
  static func write(
    _ bytes: UnsafeRawBufferPointer, to name: String = "input", size: Int? = nil
  ) throws -> String {
    let path = "\(folder)/\(name)"
    let descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
    guard descriptor >= 0 else { throw CocoaError(.fileWriteUnknown) }
    defer { close(descriptor) }
    guard Foundation.write(descriptor, bytes.baseAddress, bytes.count) == bytes.count else {
      throw CocoaError(.fileWriteUnknown)
    }
    if let size { ftruncate(descriptor, off_t(size)) }
    return path
  }

  static func write(_ bytes: some Sequence<UInt8>, to name: String, size: Int? = nil) throws -> String {
    try Array(bytes).withUnsafeBytes { try write($0, to: name, size: size) }
  }

  static func remove() { try? FileManager.default.removeItem(atPath: folder) }
}

/// Takes an input apart into choices; where it ends, zeros follow.
struct Choices {
  private var rest: UnsafeRawBufferPointer.SubSequence

  init(_ bytes: UnsafeRawBufferPointer) { rest = bytes[...] }

  var isEmpty: Bool { rest.isEmpty }

  mutating func byte() -> UInt8 { rest.popFirst() ?? 0 }

  mutating func number() -> Int64 { (0..<8).reduce(0) { value, _ in value << 8 | Int64(byte()) } }

  /// One of so many.
  mutating func below(_ count: Int) -> Int { Int(byte()) % count }

  /// Up to 255 bytes.
  mutating func bytes() -> [UInt8] {
    let count = min(Int(byte()), rest.count)
    defer { rest = rest.dropFirst(count) }
    return Array(rest.prefix(count))
  }

  /// All that is left.
  mutating func remainder() -> [UInt8] {
    defer { rest = rest.suffix(0) }
    return Array(rest)
  }
}

import Foundation
import Hashing

/// A checksum over a whole file, kept in the file's first bytes: HDF5's user block, which other readers skip.
///
/// HDF5 1.10 may crash on a file whose structure is damaged, and its own checksums cover only parts. A sealed file
/// is compared with its seal first and given to HDF5 only if not a bit has changed.
///
/// Layout, little-endian: the eight letters `PECOSEAL`, the file's size and the xxHash64 of everything behind the
/// block, as 64-bit numbers; the rest of the block is zero.
public enum FileSeal {
  /// Bytes that the seal takes at the start of the file.
  public static let size = 512
  private static let mark = Array("PECOSEAL".utf8)

  /// Seals a file that begins with a block of `size` bytes to spare.
  static func put(on path: String) throws {
    let descriptor = open(path, O_RDWR)
    guard descriptor >= 0 else { throw FileSystem.failure(path, "open to seal it") }
    defer { close(descriptor) }
    let (length, hash) = try measure(descriptor, path)
    var block = mark
    for number in [UInt64(length), hash] {
      withUnsafeBytes(of: number.littleEndian) { block.append(contentsOf: $0) }
    }
    guard pwrite(descriptor, block, block.count, 0) == block.count else {
      throw FileSystem.failure(path, "write the seal")
    }
  }

  /// Throws unless the file is as it was when it was sealed.
  public static func verify(_ path: String) throws {
    let descriptor = open(path, O_RDONLY)
    guard descriptor >= 0 else { throw FileSystem.failure(path, "open") }
    defer { close(descriptor) }
    var information = stat()
    guard fstat(descriptor, &information) == 0, Int(information.st_size) > size else {
      throw StorageError(
        path: path,
        problem: "is no checkpoint of peco, or cut off: it holds \(information.st_size) bytes")
    }
    var block = [UInt8](repeating: 0, count: mark.count + 16)
    try block.withUnsafeMutableBytes { try FileSystem.read(descriptor, path, $0, at: 0) }
    guard Array(block.prefix(mark.count)) == mark else {
      throw StorageError(
        path: path,
        problem: "has no seal: it was not written by peco as a checkpoint, or its start is damaged")
    }
    let numbers = [0, 8].map { offset in
      block.withUnsafeBytes {
        UInt64(littleEndian: $0.loadUnaligned(fromByteOffset: mark.count + offset, as: UInt64.self))
      }
    }
    let found = UInt64(information.st_size)
    guard numbers[0] == found else {
      throw StorageError(
        path: path,
        problem: (found < numbers[0] ? "is cut off" : "has grown since it was written")
          + ": it holds \(found) bytes, and should hold \(numbers[0])")
    }
    guard try measure(descriptor, path).hash == numbers[1] else {
      throw StorageError(path: path, problem: "is damaged: its contents do not match its seal")
    }
  }

  /// The size of a file, and the checksum of what lies behind the seal.
  private static func measure(_ descriptor: Int32, _ path: String) throws -> (length: Int, hash: UInt64) {
    var information = stat()
    guard fstat(descriptor, &information) == 0 else { throw FileSystem.failure(path, "look at") }
    let length = Int(information.st_size)
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 8 << 20, alignment: 64)
    defer { buffer.deallocate() }
    var hash = XXHash64()
    var position = size
    while position < length {
      let part = UnsafeMutableRawBufferPointer(rebasing: buffer[..<min(buffer.count, length - position)])
      try FileSystem.read(descriptor, path, part, at: position)
      hash.update(UnsafeRawBufferPointer(part))
      position += part.count
    }
    return (length, hash.value)
  }
}

import CFileIO
import Datasets
import Foundation
import Storage

/// Bytes that come one after another: an archive, or a member of one.
protocol ByteStream: AnyObject {
  /// Reads up to `buffer.count` bytes; 0 means the end.
  func read(into buffer: UnsafeMutableRawBufferPointer) throws -> Int
}

extension ByteStream {
  /// Reads until the buffer is full or the stream at its end; returns how much was read.
  func readFully(into buffer: UnsafeMutableRawBufferPointer) throws -> Int {
    try FullRead.fill(buffer) { empty, _ in try read(into: empty) }
  }
}

/// A file read from beginning to end, unpacked on the way if it is gzip.
final class FileByteStream: ByteStream {
  let path: String
  private let file: OpaquePointer

  init(path: String) throws {
    self.path = path
    guard let file = peco_gzip_open(path) else {
      throw DatasetError(path, "cannot open: \(String(cString: strerror(errno)))", advice: "check the path")
    }
    self.file = file
  }

  deinit { peco_gzip_close(file) }

  func read(into buffer: UnsafeMutableRawBufferPointer) throws -> Int {
    guard let base = buffer.baseAddress else { return 0 }
    let count = peco_gzip_read(file, base, UInt32(min(buffer.count, Int(Int32.max))))
    guard count >= 0 else {
      // zlib begins its messages with the path.
      let message = String(cString: peco_gzip_error(file))
      let reason = message.hasPrefix(path + ": ") ? String(message.dropFirst(path.count + 2)) : message
      throw DatasetError(
        path, "cannot read: \(reason)", advice: "the archive may be damaged or cut short; fetch it anew")
    }
    return Int(count)
  }
}

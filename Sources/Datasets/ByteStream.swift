import CFileIO
import Foundation

/// Bytes that come one after another: an archive, or a member of one.
protocol ByteStream: AnyObject {
  /// Reads up to `buffer.count` bytes; 0 means the end.
  func read(into buffer: UnsafeMutableRawBufferPointer) throws -> Int
}

extension ByteStream {
  /// Reads until the buffer is full or the stream at its end; tells how much was read.
  func readFully(into buffer: UnsafeMutableRawBufferPointer) throws -> Int {
    var filled = 0
    while filled < buffer.count {
      let count = try read(into: UnsafeMutableRawBufferPointer(rebasing: buffer[filled...]))
      if count == 0 { break }
      filled += count
    }
    return filled
  }
}

/// A file read from beginning to end, unpacked on the way if it is gzip.
final class FileByteStream: ByteStream {
  let path: String
  private let file: gzFile

  init(path: String) throws {
    self.path = path
    // zlib hands the bytes of a file that is not gzip through as they are.
    guard let file = gzopen(path, "rb") else {
      throw DatasetError(path, "cannot open: \(String(cString: strerror(errno)))", advice: "check the path")
    }
    self.file = file
    gzbuffer(file, 1 << 20)
  }

  deinit { gzclose(file) }

  func read(into buffer: UnsafeMutableRawBufferPointer) throws -> Int {
    let limit = min(buffer.count, Int(Int32.max))
    let count = gzread(file, buffer.baseAddress, UInt32(limit))
    var code: Int32 = 0
    let message = gzerror(file, &code).map { String(cString: $0) } ?? ""
    guard count >= 0, code == Z_OK || code == Z_STREAM_END else {
      // zlib begins its messages with the path.
      let text = message.hasPrefix(path + ": ") ? String(message.dropFirst(path.count + 2)) : message
      let reason = code == Z_ERRNO ? String(cString: strerror(errno)) : text
      throw DatasetError(
        path, "cannot read: \(reason)", advice: "the archive may be damaged or cut short; fetch it anew")
    }
    return Int(count)
  }
}

import Foundation

/// Why the system could not read or write.
public struct SystemFailure: Error, Sendable {
  /// The system's number for it, as in `errno`.
  public let code: Int32

  /// The system's words for it.
  public var reason: String { String(cString: strerror(code)) }
}

/// Reading until memory is full or the source has ended: one loop for files, archives and streams.
public enum FullRead {
  /// Calls `read` until `memory` is full or `read` gives 0; tells how many bytes were read.
  ///
  /// - Parameters:
  ///   - memory: What is to be filled.
  ///   - read: Reads into what is still empty, which starts at the given position of `memory`.
  public static func fill(
    _ memory: UnsafeMutableRawBufferPointer,
    _ read: (_ empty: UnsafeMutableRawBufferPointer, _ position: Int) throws -> Int
  ) rethrows -> Int {
    var filled = 0
    while filled < memory.count {
      let count = try read(UnsafeMutableRawBufferPointer(rebasing: memory[filled...]), filled)
      if count == 0 { break }
      filled += count
    }
    return filled
  }

  /// Fills memory from a place in an open file; fewer bytes than asked for where the file ends.
  ///
  /// Takes no lock and moves no file position: threads may read one descriptor side by side. Throws a `SystemFailure`.
  public static func fill(
    _ memory: UnsafeMutableRawBufferPointer, from descriptor: Int32, at offset: Int
  ) throws -> Int {
    try fill(memory) { empty, position in
      while true {
        let count = pread(descriptor, empty.baseAddress, empty.count, off_t(offset + position))
        if count >= 0 { return count }
        // A signal came in between.
        guard errno == EINTR else { throw SystemFailure(code: errno) }
      }
    }
  }
}

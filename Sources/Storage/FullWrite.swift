import Foundation

/// Writing until all of some memory is written: one loop for files, whoever tells of their errors.
public enum FullWrite {
  /// Writes all of some memory to an open file, at its position or at a place of its own. Throws a `SystemFailure`.
  ///
  /// With an `offset` it takes no lock and moves no file position: threads may write to one descriptor side by side.
  public static func write(
    _ memory: UnsafeRawBufferPointer, to descriptor: Int32, at offset: Int? = nil
  ) throws {
    var done = 0
    while done < memory.count {
      let (rest, left) = (memory.baseAddress.map { $0 + done }, memory.count - done)
      let count =
        offset.map { pwrite(descriptor, rest, left, off_t($0 + done)) }
        ?? Foundation.write(descriptor, rest, left)
      // A signal came in between.
      if count < 0, errno == EINTR { continue }
      guard count > 0 else { throw SystemFailure(code: count < 0 ? errno : EIO) }
      done += count
    }
  }
}

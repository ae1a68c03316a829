import Foundation

/// The few steps between "written" and "on the disk".
public enum FileSystem {
  /// Waits until a file's contents are on the disk.
  public static func synchronize(file path: String) throws {
    let descriptor = open(path, O_RDONLY)
    guard descriptor >= 0 else { throw failure(path, "open") }
    defer { close(descriptor) }
    guard fsync(descriptor) == 0 else { throw failure(path, "flush to the disk") }
  }

  /// Waits until a folder's entries (a rename, a removal) are on the disk.
  public static func synchronize(folder path: String) throws {
    let descriptor = open(path, O_RDONLY | O_DIRECTORY)
    guard descriptor >= 0 else { throw failure(path, "open") }
    defer { close(descriptor) }
    // Some network file systems cannot flush a folder and say so by EINVAL: there is nothing more to do there.
    if fsync(descriptor) != 0, errno != EINVAL, errno != ENOTSUP {
      throw failure(path, "flush to the disk")
    }
  }

  /// Has `body` write a file beside `path`, flushes it to the disk and renames it to `path`.
  ///
  /// At any moment, also after a crash, `path` is either untouched or complete. The unfinished file is named
  /// `.NAME.partial-PID`; when `body` or the disk fails it is removed and the error passed on.
  public static func atomicallyReplace<Result>(
    _ path: String, _ body: (_ partial: String) throws -> Result
  ) throws -> Result {
    let folder = self.folder(of: path)
    let name = (path as NSString).lastPathComponent
    let partial = (folder as NSString).appendingPathComponent(".\(name).partial-\(getpid())")
    do {
      let writeback = Writeback(of: partial)
      defer { writeback.stop() }
      let result = try body(partial)
      try synchronize(file: partial)
      guard rename(partial, path) == 0 else { throw failure(path, "rename the finished file") }
      try synchronize(folder: folder)
      return result
    } catch {
      unlink(partial)
      // People know the file by its own name.
      guard let error = error as? StorageError, error.path == partial else { throw error }
      throw StorageError(
        path: path, object: error.object, problem: error.problem, advice: error.advice)
    }
  }

  /// Removes what writers that died left behind in a folder, and tells the names of the files removed.
  ///
  /// Only for the folder's sole owner: the unfinished file of a writer at work would go too.
  @discardableResult
  public static func removePartialFiles(in folder: String) throws -> [String] {
    let entries: [String]
    do {
      entries = try FileManager.default.contentsOfDirectory(atPath: folder)
    } catch {
      throw StorageError(path: folder, problem: "cannot list the folder: \(error.localizedDescription)")
    }
    let partials = entries.filter { name in
      guard name.hasPrefix("."), let mark = name.range(of: ".partial-", options: .backwards) else {
        return false
      }
      return !name[mark.upperBound...].isEmpty && name[mark.upperBound...].allSatisfy(\.isNumber)
    }
    for name in partials {
      let path = (folder as NSString).appendingPathComponent(name)
      guard unlink(path) == 0 else { throw failure(path, "remove") }
    }
    return partials.sorted()
  }

  /// Fills memory from a place in an open file.
  ///
  /// Takes no lock and moves no file position: threads may read one descriptor side by side.
  public static func read(
    _ descriptor: Int32, _ path: String, _ memory: UnsafeMutableRawBufferPointer, at offset: Int
  ) throws {
    var done = 0
    while done < memory.count {
      let count = pread(
        descriptor, memory.baseAddress.map { $0 + done }, memory.count - done, off_t(offset + done))
      if count < 0 {
        if errno == EINTR { continue }
        throw failure(path, "read")
      }
      guard count > 0 else {
        throw StorageError(
          path: path, problem: "the file ends at byte \(offset + done), where more is expected",
          advice: "the file was cut short, perhaps by a copy that did not finish; copy or make it anew")
      }
      done += count
    }
  }

  /// Writes all of some memory at an open file's position.
  static func write(_ descriptor: Int32, _ path: String, _ memory: UnsafeRawBufferPointer) throws {
    var done = 0
    while done < memory.count {
      #if canImport(Glibc)
        let count = Glibc.write(descriptor, memory.baseAddress.map { $0 + done }, memory.count - done)
      #else
        let count = Darwin.write(descriptor, memory.baseAddress.map { $0 + done }, memory.count - done)
      #endif
      if count < 0 {
        if errno == EINTR { continue }
        throw failure(path, "write")
      }
      done += count
    }
  }

  static func folder(of path: String) -> String {
    let folder = (path as NSString).deletingLastPathComponent
    return folder.isEmpty ? "." : folder
  }

  /// An error from `errno`, as it stands right after the call that failed.
  static func failure(_ path: String, _ action: String) -> StorageError {
    let reason = String(cString: strerror(errno))
    return StorageError(
      path: path, problem: "cannot \(action): \(reason)", advice: HDF5File.advice(for: reason))
  }
}

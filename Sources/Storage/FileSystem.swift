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
    try requireOutput(path)
    let folder = self.folder(of: path)
    let partial = "\(folder)/.\(name(of: path)).partial-\(getpid())"
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
    let count: Int
    do {
      count = try FullRead.fill(memory, from: descriptor, at: offset)
    } catch let error as SystemFailure {
      throw failure(path, "read", reason: error.reason)
    }
    guard count == memory.count else {
      throw StorageError(
        path: path, problem: "the file ends at byte \(offset + count), where more is expected",
        advice: "the file was cut short, perhaps by a copy that did not finish; copy or make it anew")
    }
  }

  /// Makes a folder and those above it that are missing.
  public static func makeFolder(_ path: String) throws {
    var made = path.hasPrefix("/") ? "" : "."
    for part in path.utf8.split(separator: UInt8(ascii: "/")) {
      made += "/" + String(Substring(part))
      guard mkdir(made, 0o777) != 0, errno != EEXIST else { continue }
      throw failure(path, "make the folder")
    }
    var found = stat()
    guard stat(path, &found) == 0, found.st_mode & S_IFMT == S_IFDIR else {
      throw StorageError(path: path, problem: "cannot be a folder: a file is in the way")
    }
  }

  /// Makes a file of a text, or overwrites one.
  public static func write(_ text: String, to path: String) throws {
    let descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o666)
    guard descriptor >= 0 else { throw failure(path, "write") }
    defer { close(descriptor) }
    try Array(text.utf8).withUnsafeBytes { try write(descriptor, path, $0) }
  }

  /// What is in a file that is no larger than texts are. Whatever has another's name may be of any size, and weights of
  /// gigabytes in the place of their index are not to be read into memory.
  package static func readSmall(_ path: String) throws -> [UInt8] {
    let most = 256 << 20
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw failure(path, "read") }
    defer { close(descriptor) }
    var bytes: [UInt8] = []
    var part = [UInt8](repeating: 0, count: 1 << 16)
    while true {
      let count = part.withUnsafeMutableBytes { Foundation.read(descriptor, $0.baseAddress, $0.count) }
      if count == 0 { return bytes }
      if count < 0, errno == EINTR { continue }
      guard count > 0 else { throw failure(path, "read") }
      guard bytes.count + count <= most else {
        throw StorageError(
          path: path, problem: "has more than \(most >> 20) MiB, which no text here has",
          advice: "give the file that is meant")
      }
      bytes += part[..<count]
    }
  }

  /// The text in a file, UTF-8, without the byte order mark that some editors put before it.
  public static func readText(_ path: String) throws -> String {
    var found = stat()
    guard stat(path, &found) == 0 else { throw failure(path, "read") }
    guard found.st_mode & S_IFMT != S_IFDIR else {
      throw StorageError(path: path, problem: "is a folder, where a file is expected")
    }
    guard let text = String(validating: try readSmall(path), as: UTF8.self) else {
      throw StorageError(path: path, problem: "is no text in UTF-8")
    }
    return text.unicodeScalars.first == "\u{FEFF}" ? String(text.unicodeScalars.dropFirst()) : text
  }

  /// Writes all of some memory at an open file's position.
  package static func write(_ descriptor: Int32, _ path: String, _ memory: UnsafeRawBufferPointer) throws {
    do {
      try FullWrite.write(memory, to: descriptor)
    } catch let error as SystemFailure {
      throw failure(path, "write", reason: error.reason)
    }
  }

  /// Throws unless a file may be written at `path`: in a folder that is there, in the place of a regular file or of
  /// nothing, and not of what it is made from. Worth asking before the work begins.
  ///
  /// - Parameters:
  ///   - path: The file to be written.
  ///   - inputs: Files that are read, and runs whose checkpoints are.
  public static func requireOutput(_ path: String, madeFrom inputs: [String] = []) throws {
    guard !name(of: path).isEmpty else {
      throw StorageError(path: path.isEmpty ? "''" : path, problem: "names no file to write")
    }
    var found = stat()
    let folder = folder(of: path)
    guard stat(folder, &found) == 0, found.st_mode & S_IFMT == S_IFDIR else {
      throw StorageError(path: path, problem: "there is no folder \(folder)", advice: "make it first")
    }
    let home = FileIdentity(found)
    guard stat(path, &found) == 0 else { return }
    switch found.st_mode & S_IFMT {
    case S_IFREG: break
    case S_IFDIR:
      throw StorageError(path: path, problem: "is a folder", advice: "give the name of the file to write")
    default:
      throw StorageError(
        path: path, problem: "is no regular file, and would be replaced by one", advice: "give another name")
    }
    for input in inputs
    where FileIdentity(of: input) == FileIdentity(found)
      || FileIdentity(of: input + "/checkpoints") == home
    {
      throw StorageError(
        path: path, problem: "would replace what is read, \(input)", advice: "give another name")
    }
  }

  /// The folder a path lies in. (Foundation's `deletingLastPathComponent` traps on names of one letter.)
  public static func folder(of path: String) -> String {
    // As bytes: a name may begin with a mark that would join the slash to another character.
    guard let slash = path.utf8.lastIndex(of: UInt8(ascii: "/")) else { return "." }
    return slash == path.startIndex ? "/" : String(path[..<slash])
  }

  /// What a path is called in its folder; nothing where it ends in a slash.
  public static func name(of path: String) -> String {
    path.utf8.lastIndex(of: UInt8(ascii: "/")).map { String(path[path.utf8.index(after: $0)...]) } ?? path
  }

  /// An error from `errno`, as it stands right after the call that failed, or from another of the system's numbers.
  package static func failure(_ path: String, _ action: String, code: Int32 = errno) -> StorageError {
    failure(path, action, reason: SystemFailure(code: code).reason)
  }

  private static func failure(_ path: String, _ action: String, reason: String) -> StorageError {
    StorageError(
      path: path, problem: "cannot \(action): \(reason)", advice: HDF5File.advice(for: reason))
  }
}

/// Which file or folder a path leads to, whatever it is called.
public struct FileIdentity: Hashable {
  private let device: UInt64
  private let inode: UInt64

  package init(_ information: stat) {
    (device, inode) = (UInt64(truncatingIfNeeded: information.st_dev), UInt64(information.st_ino))
  }

  /// Nil where nothing is there.
  public init?(of path: String) {
    var information = stat()
    guard stat(path, &information) == 0 else { return nil }
    self.init(information)
  }
}

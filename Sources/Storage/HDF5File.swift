import CHDF5
import Foundation

/// An HDF5 file: datasets of numbers and strings under slash-separated names, with attributes.
///
/// ```swift
/// let file = try HDF5File(creating: "weights.h5")
/// try file.write([1, 2, 3, 4] as [Float], shape: [2, 2], to: "model/head.weight", checksum: true)
/// try file.setAttribute("step", 1000)
/// try file.close()
/// ```
///
/// Safe to share between threads; calls wait for one another, as HDF5 has one lock for the whole process.
/// Every failure is a `StorageError` that names the file and the object.
///
/// Unchecked: the identifier is used and changed under the library's lock alone.
public final class HDF5File: @unchecked Sendable {
  /// The path given when the file was opened.
  public let path: String

  /// The version of the HDF5 library, such as "1.10.8".
  public static var libraryVersion: String { HDF5Library.version }
  private var identifier: hid_t

  /// Creates a file, replacing any that has this path.
  public convenience init(creating path: String) throws {
    try self.init(creating: path, userBlock: 0)
  }

  private convenience init(creating path: String, userBlock: Int) throws {
    let creation = HDF5Library.locked { peco_h5_file_creation(hsize_t(userBlock)) }
    defer { _ = HDF5Library.locked { H5Pclose(creation) } }
    try self.init(path: path, action: "create the file", isLocked: true) {
      peco_h5_create_file($0, creation, $1)
    }
  }

  /// Opens an existing file for reading, without a lock: file systems of clusters may have none, and a file that
  /// `atomicallyWrite` has given its name no longer changes.
  public convenience init(opening path: String) throws {
    var information = stat()
    if stat(path, &information) == 0, information.st_mode & S_IFMT == S_IFDIR {
      throw StorageError(path: path, problem: "is a folder, not an HDF5 file")
    }
    try self.init(path: path, action: "open as HDF5", isLocked: false, open: peco_h5_open_file)
  }

  private init(
    path: String, action: String, isLocked: Bool, open: (UnsafePointer<CChar>, hid_t) -> hid_t
  ) throws {
    self.path = path
    self.identifier = -1
    self.identifier = try HDF5Library.locked {
      try withLock(ifWanted: isLocked, action) { locked in
        let access = try check(peco_h5_file_access(locked ? 1 : 0), nil, action)
        defer { H5Pclose(access) }
        let identifier = open(path, access)
        // Closing the list would make the library forget what went wrong.
        return identifier >= 0 ? .success(identifier) : .failure(HDF5Library.lastFailure())
      }
    }
  }

  deinit {
    try? close()
  }

  /// Writes out what is still in memory and closes the file.
  ///
  /// A full disk may only show here: a written file is good only once this has returned. Closing twice is
  /// harmless.
  public func close() throws {
    try HDF5Library.locked {
      guard identifier >= 0 else { return }
      let closing = identifier
      identifier = -1
      do {
        try check(peco_h5_flush(closing), nil, "write the file out")
      } catch {
        H5Fclose(closing)
        throw error
      }
      try check(H5Fclose(closing), nil, "close the file")
    }
  }

  /// Hands what is still in memory to the operating system.
  public func flush() throws {
    try withFile { _ = try check(peco_h5_flush($0), nil, "write the file out") }
  }

  /// Runs `body` with the open file, alone in the HDF5 library.
  func withFile<Result>(_ body: (hid_t) throws -> Result) throws -> Result {
    try HDF5Library.locked {
      guard identifier >= 0 else {
        throw StorageError(path: path, problem: "the file is already closed")
      }
      return try body(identifier)
    }
  }

  /// Whether the file holds a dataset or group of this name.
  public func exists(_ name: String) throws -> Bool {
    try withFile { file in
      var prefix = ""
      for component in name.split(separator: "/") {
        prefix += "/" + component
        // A parent that is a dataset, not a group, makes the question itself fail: then there is no child.
        guard H5Lexists(file, prefix, 0) > 0, H5Oexists_by_name(file, prefix, 0) > 0 else { return false }
      }
      return true
    }
  }

  /// The names of the objects directly in a group, sorted.
  public func list(_ group: String = "/") throws -> [String] {
    try withFile { file in
      try requirePresence(of: group)
      let identifier = try check(H5Gopen2(file, group, 0), group, "open the group")
      defer { H5Gclose(identifier) }
      let names = NameCollector()
      let status = peco_h5_links(
        identifier,
        { name, context in
          guard let name, let context else { return }
          Unmanaged<NameCollector>.fromOpaque(context).takeUnretainedValue().names.append(
            String(cString: name))
        }, Unmanaged.passUnretained(names).toOpaque())
      try check(status, group, "list the group")
      return withExtendedLifetime(names) { names.names.sorted() }
    }
  }

  /// The full names of all datasets at or below a group, without a leading slash, sorted.
  public func listRecursively(_ group: String = "/") throws -> [String] {
    try withFile { file in
      var datasets: [String] = []
      var pending = [group.split(separator: "/").joined(separator: "/")]
      while let parent = pending.popLast() {
        for child in try list(parent.isEmpty ? "/" : parent) {
          let name = parent.isEmpty ? child : "\(parent)/\(child)"
          let object = H5Oopen(file, name, 0)
          // A link that leads nowhere is no dataset.
          guard object >= 0 else { continue }
          defer { H5Oclose(object) }
          switch H5Iget_type(object) {
          case H5I_DATASET: datasets.append(name)
          case H5I_GROUP: pending.append(name)
          default: break
          }
        }
      }
      return datasets.sorted()
    }
  }

  /// Throws unless the object exists, with the nearest names as a hint.
  func requirePresence(of name: String) throws {
    if try exists(name) { return }
    let parent = name.split(separator: "/").dropLast().joined(separator: "/")
    var advice: String?
    if try exists(parent), let siblings = try? list(parent.isEmpty ? "/" : parent) {
      let place = parent.isEmpty ? "the file" : "'\(parent)'"
      advice =
        siblings.isEmpty
        ? "\(place) is empty"
        : "\(place) holds \(siblings.prefix(8).joined(separator: ", "))"
          + (siblings.count > 8 ? " and \(siblings.count - 8) more" : "")
    }
    throw StorageError(path: path, object: name, problem: "no such object in this file", advice: advice)
  }

  /// Writes a whole file so that `path` holds either what it held before or the new file, never half of one.
  ///
  /// The file is written beside `path`, flushed to the disk and renamed. When `body` or the disk fails, the
  /// unfinished file is removed and the error passed on.
  ///
  /// - Parameters:
  ///   - path: The file.
  ///   - sealed: Whether the file gets a seal, by which `FileSeal.verify` finds any damage before HDF5 comes near it.
  ///   - body: Writes into the new file.
  public static func atomicallyWrite<Result>(
    to path: String, sealed: Bool = false, _ body: (HDF5File) throws -> Result
  ) throws -> Result {
    try FileSystem.atomicallyReplace(path) { partial in
      let file = try HDF5File(creating: partial, userBlock: sealed ? FileSeal.size : 0)
      let result: Result
      do {
        result = try body(file)
      } catch {
        try? file.close()
        throw error
      }
      try file.close()
      if sealed { try FileSeal.put(on: partial) }
      return result
    }
  }
}

/// Gathers the names that the library calls out.
final class NameCollector {
  var names: [String] = []
}

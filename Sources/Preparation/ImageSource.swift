import Datasets
import Foundation
import Storage

/// Where images come from: a folder, or an archive read as a stream.
enum ImageSource: Sendable {
  case folder(String)
  case archive(String)

  /// An image found in a source.
  struct Found: Sendable {
    enum Content: Sendable {
      case file(String)
      case bytes([UInt8])
      /// Cannot be an image, for this reason.
      case unusable(String)
    }
    /// Its path in the source.
    let path: String
    let content: Content
  }

  /// What counts as an image, by the end of the name, in any case of letters.
  static let extensions = ["jpeg", "jpg", "png"]

  /// Finds out what `path` is; throws when nothing is there.
  init(path: String) throws {
    var information = stat()
    guard stat(path, &information) == 0 else {
      throw DatasetError(
        path, "cannot open: \(String(cString: strerror(errno)))", advice: "check the input",
        field: .input)
    }
    self = information.st_mode & S_IFMT == S_IFDIR ? .folder(path) : .archive(path)
  }

  /// Calls `body` with every image, in the source's order; stops early when `body` answers false.
  ///
  /// - Parameter subset: Only what lies below this folder of the source; paths are then relative to it.
  func forEachImage(subset: String?, _ body: (Found) throws -> Bool) throws {
    let subset = subset.map { Self.components($0) } ?? []
    switch self {
    case .folder(let root):
      let start = ([root] + subset).joined(separator: "/")
      guard let entries = Self.list(start) else {
        throw DatasetError(
          start, "cannot list the folder: \(String(cString: strerror(errno)))",
          advice: subset.isEmpty ? "check the input" : "check the subset",
          field: subset.isEmpty ? .input : .subset)
      }
      _ = try Self.walk(start, entries, prefix: "", within: [FileIdentity(of: start)], body)
    case .archive(let path):
      let reader = TarReader(try FileByteStream(path: path), path: path)
      _ = try Self.walk(reader, path, folders: [], subset, body)
    }
  }

  static func isImage(_ name: String) -> Bool {
    guard !name.hasPrefix("."), let dot = name.lastIndex(of: ".") else { return false }
    return extensions.contains(name[name.index(after: dot)...].lowercased())
  }

  static func components(_ path: String) -> [String] {
    path.split(separator: "/").map(String.init).filter { $0 != "." }
  }

  // MARK: Folders

  private struct DirectoryEntry {
    let name: String
    let isFolder: Bool
  }

  private static func walk(
    _ folder: String, _ entries: [DirectoryEntry], prefix: String, within folders: [FileIdentity?],
    _ body: (Found) throws -> Bool
  ) throws -> Bool {
    for entry in entries {
      let path = folder + "/" + entry.name
      if entry.isFolder {
        // A link may lead back up.
        let identity = FileIdentity(of: path)
        guard !folders.contains(identity) else { continue }
        guard let inner = list(path) else {
          let reason = String(cString: strerror(errno))
          throw DatasetError(path, "cannot list the folder: \(reason)", advice: "check its permissions")
        }
        let prefix = prefix + entry.name + "/"
        guard try walk(path, inner, prefix: prefix, within: folders + [identity], body) else { return false }
      } else if isImage(entry.name) {
        guard try body(Found(path: prefix + entry.name, content: .file(path))) else { return false }
      }
    }
    return true
  }

  /// The visible entries of a folder, sorted; nil, with `errno`, when it cannot be listed.
  private static func list(_ path: String) -> [DirectoryEntry]? {
    guard let directory = opendir(path) else { return nil }
    defer { closedir(directory) }
    var entries: [DirectoryEntry] = []
    while let entry = readdir(directory) {
      let name = withUnsafePointer(to: &entry.pointee.d_name) {
        $0.withMemoryRebound(to: CChar.self, capacity: 1) { String(cString: $0) }
      }
      if name.hasPrefix(".") { continue }
      var isFolder = entry.pointee.d_type == UInt8(DT_DIR)
      if entry.pointee.d_type == UInt8(DT_LNK) || entry.pointee.d_type == UInt8(DT_UNKNOWN) {
        var information = stat()
        isFolder =
          stat(path + "/" + name, &information) == 0 && information.st_mode & S_IFMT == S_IFDIR
      }
      entries.append(DirectoryEntry(name: name, isFolder: isFolder))
    }
    return entries.sorted { $0.name.utf8.lexicographicallyPrecedes($1.name.utf8) }
  }

  // MARK: Archives

  private static func walk(
    _ reader: TarReader, _ path: String, folders: [String], _ subset: [String],
    _ body: (Found) throws -> Bool
  ) throws -> Bool {
    while let entry = try reader.next() {
      let parts = components(entry.name)
      guard let name = parts.last, entry.kind == .file || entry.kind == .link else { continue }
      let full = folders + parts
      if entry.kind == .file, name.lowercased().hasSuffix(".tar"), !name.hasPrefix(".") {
        // A tar of tars, as ILSVRC2012's train.tar: the inner archive is a class.
        guard folders.count < 8 else {
          throw DatasetError(path, "\(entry.name): archives lie too deep in one another")
        }
        let inner = TarReader(reader.payload(), path: "\(path) (\(entry.name))")
        let folder = full.dropLast() + [String(name.dropLast(4))]
        guard try walk(inner, path, folders: Array(folder), subset, body) else { return false }
      } else if isImage(name), let relative = relativePath(full, subset) {
        let content: Found.Content =
          entry.kind == .file
          ? .bytes(try reader.readPayload()) : .unusable("is a link, not a file, in the archive")
        guard try body(Found(path: relative, content: content)) else { return false }
      }
    }
    return true
  }

  /// The path below `subset`, which starts at the top of the archive or below the one folder around everything.
  private static func relativePath(_ parts: [String], _ subset: [String]) -> String? {
    if subset.isEmpty { return parts.joined(separator: "/") }
    for skipped in 0...1 where parts.count > skipped + subset.count {
      if parts[skipped..<skipped + subset.count].elementsEqual(subset) {
        return parts[(skipped + subset.count)...].joined(separator: "/")
      }
    }
    return nil
  }
}

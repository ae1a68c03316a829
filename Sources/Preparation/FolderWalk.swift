import Datasets
import Foundation
import Storage

extension SourceWalk {
  /// Walks through a folder and those below it.
  ///
  /// - Parameters:
  ///   - file: its path in the file system.
  ///   - path: its path in the source.
  ///   - above: the folders that it lies in.
  func folder(_ file: [UInt8], at path: [[UInt8]], within above: [FileIdentity] = []) throws {
    let entries = try list(file, isTop: path.isEmpty)
    for entry in entries where !Self.isHidden(entry.name) {
      if isCancelled() { throw Stopped() }
      let inner = path + [entry.name]
      let place = file + [SourcePath.slash] + entry.name
      switch entry.kind {
      case .folder:
        guard concerns(folder: inner) else { continue }
        // A link may lead back up.
        guard let identity = entry.identity, !above.contains(identity) else { continue }
        try give(inner, .folder)
        try folder(place, at: inner, within: above + [identity])
      case .regular: try self.file(entry.name, place, at: inner)
      case .missing: try give(inner, .unreadable("is a link to what is not there"))
      case .special(let kind): try give(inner, .unreadable("is \(kind.rawValue), no regular file"))
      }
    }
  }

  private func file(_ name: [UInt8], _ place: [UInt8], at path: [[UInt8]]) throws {
    // Those who decode read it anyway, and find out what it is.
    if ContentKind.isNamedImage(name) { return try give(path, .file(place)) }
    let folder = path.dropLast() + [ContentKind.folderName(ofArchive: name)]
    guard self.name(path) != nil || concerns(folder: Array(folder)) else { return }
    let head: [UInt8]
    do {
      head = try readFile(place, upTo: ContentKind.length)
    } catch let error as DatasetError {
      return try give(path, .unreadable(error.problem))
    }
    switch head.withUnsafeBytes({ ContentKind($0, name: name) }) {
    case .image: try give(path, .file(place))
    case .unusable(let reason): try give(path, .unusable(reason))
    case .other: try give(path, .other)
    case .archive(let isNamed):
      let text = SourcePath(bytes: place).text
      let source = try FileSource(place, path: text, isCancelled: isCancelled)
      limit = UnpackingLimit()
      guard try archive(source, path: text, at: Array(folder), depth: 1) else {
        return try give(noArchive: path, standingFor: Array(folder), isNamed: isNamed)
      }
    }
  }

  private struct DirectoryEntry {
    enum Kind {
      case folder, regular, missing
      case special(OpenFile.Kind)
    }
    let name: [UInt8]
    let key: [UInt8]
    let kind: Kind
    /// Of a folder.
    let identity: FileIdentity?
  }

  /// The entries of a folder, in order.
  private func list(_ file: [UInt8], isTop: Bool) throws -> [DirectoryEntry] {
    guard let directory = withPath(file, opendir) else {
      throw DatasetError(
        SourcePath(bytes: file).text, "cannot list the folder: \(String(cString: strerror(errno)))",
        advice: isTop ? "check the input" : "check its permissions", field: isTop ? .input : nil)
    }
    defer { closedir(directory) }
    var entries: [DirectoryEntry] = []
    while true {
      errno = 0
      guard let entry = readdir(directory) else { break }
      let name = withUnsafePointer(to: &entry.pointee.d_name) { field in
        field.withMemoryRebound(to: UInt8.self, capacity: 1) { start in
          Array(
            UnsafeBufferPointer(
              start: start, count: strlen(UnsafeRawPointer(start).assumingMemoryBound(to: CChar.self))))
        }
      }
      if name == [SourcePath.dot] || name == [SourcePath.dot, SourcePath.dot] { continue }
      var (kind, identity) = (DirectoryEntry.Kind.regular, FileIdentity?.none)
      if entry.pointee.d_type != UInt8(DT_REG) {
        var information = stat()
        if withPath(file + [SourcePath.slash] + name, { stat($0, &information) }) != 0 {
          kind = .missing
        } else {
          identity = FileIdentity(information)
          switch OpenFile.Kind(information) {
          case .regular: kind = .regular
          case .folder: kind = .folder
          case let other: kind = .special(other)
          }
        }
      }
      entries.append(
        DirectoryEntry(name: name, key: SourcePath(bytes: name).sortKey, kind: kind, identity: identity))
    }
    guard errno == 0 else {
      throw DatasetError(
        SourcePath(bytes: file).text, "cannot list the folder: \(String(cString: strerror(errno)))",
        advice: "check the disk")
    }
    return entries.sorted { $0.key.lexicographicallyPrecedes($1.key) }
  }
}

/// The bytes of a regular file, or the first of them; throws with the reason when it cannot be read.
func readFile(_ place: [UInt8], upTo most: Int = .max) throws -> [UInt8] {
  let path = SourcePath(bytes: place).text
  let file = try OpenFile(place, path: path)
  guard file.kind == .regular else { throw DatasetError(path, "is \(file.kind.rawValue), no regular file") }
  let size = min(file.size, most)
  return try file.read { descriptor in
    try [UInt8](unsafeUninitializedCapacity: size) { buffer, filled in
      do {
        let memory = UnsafeMutableRawBufferPointer(rebasing: UnsafeMutableRawBufferPointer(buffer)[..<size])
        filled = try FullRead.fill(memory, from: descriptor, at: 0)
      } catch let error as SystemFailure {
        throw DatasetError(path, "cannot be read: \(error.reason)")
      }
    }
  }
}

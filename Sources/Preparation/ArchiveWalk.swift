import Datasets
import Foundation

extension SourceWalk {
  private static let sameName =
    "has the name of another file of the zip, or one that Unicode holds for the same: rename it, or use a tar"

  /// Walks through the archive that is the input.
  func archive(file path: String) throws {
    let source = try FileSource(Array(path.utf8), path: path, isCancelled: isCancelled)
    guard try archive(source, path: path, at: [], depth: 0) else {
      throw DatasetError(
        path, "is no archive that can be read",
        advice: "give a folder of images, or a tar or zip of one, or ILSVRC2012's train.tar", field: .input)
    }
    guard !linksOutside.isEmpty else { return }
    try followLinksOutside(path, canReadAgain: source.canSeek)
  }

  /// Walks through an archive, as through a folder; false where it is none.
  ///
  /// - Parameters:
  ///   - source: its bytes.
  ///   - path: what messages call it.
  ///   - folder: the path of the folder that it stands for.
  ///   - depth: how many archives it lies in.
  func archive(_ source: any ByteSource, path: String, at folder: [[UInt8]], depth: Int) throws -> Bool {
    guard depth < Self.deepest else { throw DatasetError(path, "archives lie too deep in one another") }
    let reader = try ArchiveReader(source, path: path, limit: limit)
    var next: ArchiveReader.Member?
    do {
      next = try reader.next()
    } catch is ArchiveReader.NotAnArchive {
      return false
    }
    if !folder.isEmpty { try give(folder, .folder) }
    var seen: Set<SourcePath> = []
    while let member = next {
      if isCancelled() { throw Stopped() }
      if reader.isZip, let name = member.name, !name.isASCII, !seen.insert(name).inserted {
        // Both may be different names; the one before counts.
        try give(folder + name.components, .unreadable(Self.sameName))
      } else {
        try look(at: member, reader, folder, depth)
      }
      next = try reader.next()
    }
    return true
  }

  private func look(
    at member: ArchiveReader.Member, _ reader: ArchiveReader, _ folder: [[UInt8]], _ depth: Int
  ) throws {
    guard let path = member.name else {
      return try give(folder + [Array("?".utf8)], .unreadable("has a name that cannot be read"))
    }
    let parts = path.components
    // As for tar, a name that begins with a slash is meant from here on.
    guard let name = parts.last else { return }
    let full = folder + parts
    let parent = Array("..".utf8)
    if parts.contains(parent) {
      return try give(full, .unreadable("has a name that leads out of the archive, and is refused"))
    }
    guard !parts.contains(where: Self.isHidden) else { return }
    switch member.kind {
    case .folder: try give(full, .folder)
    case .symbolicLink: try give(full, .unreadable("is a symbolic link, which is not followed in an archive"))
    case .special: try give(full, .unreadable("is a pipe or a device, no regular file"))
    case .hardLink:
      // Some archives have the content again.
      let content = ArchiveMember(reader, size: member.size)
      if try content.peek(1).isEmpty {
        try give(link: full, to: folder + (member.target?.components ?? []))
      } else {
        try look(at: content, name, full, reader, depth)
      }
    case .file where member.isEncrypted: try give(full, .unreadable("is encrypted"))
    case .file:
      try look(at: ArchiveMember(reader, size: member.size), name, full, reader, depth)
    }
  }

  /// Looks at a file of an archive.
  private func look(
    at content: ArchiveMember, _ name: [UInt8], _ path: [[UInt8]], _ reader: ArchiveReader, _ depth: Int
  ) throws {
    do {
      switch ContentKind(try content.peek(ContentKind.length), name: name) {
      case .image: try give(path, .bytes(try content.readAll(limit: Self.largestImage)))
      case .unusable(let reason): try give(path, .unusable(reason))
      case .other: try give(path, .other)
      case .archive(let isNamed):
        let folder = path.dropLast() + [ContentKind.folderName(ofArchive: name)]
        let text = "\(reader.path) (\(SourcePath(bytes: name).text))"
        if try !archive(content, path: text, at: Array(folder), depth: depth + 1) {
          try give(noArchive: path, standingFor: Array(folder), isNamed: isNamed)
        }
      }
    } catch let error as ArchiveReader.MemberDamaged {
      try give(path, .unusable(error.reason))
    }
  }

  /// Reads the archive once more, for what hard links of the subset lead to outside of it.
  private func followLinksOutside(_ path: String, canReadAgain: Bool) throws {
    var wanted = linksOutside
    if canReadAgain {
      let again = SourceWalk(subset: [], mayStartBelow: false, isCancelled) { [self] found in
        guard let links = wanted.removeValue(forKey: found.name) else { return true }
        for link in links { try give(link.name, link.order, found.content) }
        return !wanted.isEmpty
      }
      let source = try FileSource(Array(path.utf8), path: path, isCancelled: isCancelled)
      do { _ = try again.archive(source, path: path, at: [], depth: 0) } catch is Stopped {}
    }
    for (target, links) in wanted {
      let reason =
        canReadAgain
        ? "which is not in the archive"
        : "which lies outside of the subset, in an archive that is read only once"
      for link in links {
        try give(link.name, link.order, .unusable("is a hard link to \(target.text), \(reason)"))
      }
    }
  }
}

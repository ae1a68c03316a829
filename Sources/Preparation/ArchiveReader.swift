import CArchive
import Datasets
import Foundation

/// Reads an archive as a stream, by libarchive; nothing is unpacked to disk.
///
/// Tar in every form (GNU's and POSIX's long names, sparse files) and zip; packed by gzip, bzip2, xz or zstd.
final class ArchiveReader {
  struct Member {
    enum Kind { case file, folder, hardLink, symbolicLink, special }
    /// Path inside the archive; nil where it cannot be had.
    let name: SourcePath?
    let kind: Kind
    /// Bytes of content; nil where the archive does not say.
    let size: Int?
    /// What a hard link leads to.
    let target: SourcePath?
    let isEncrypted: Bool
  }

  /// What is read is no archive.
  struct NotAnArchive: Error {}

  /// The content of one member cannot be had; those after it can.
  struct MemberDamaged: Error {
    let reason: String
  }

  /// What messages call it.
  let path: String
  /// Whether it is a zip, whose names come with their accents composed.
  let isZip: Bool
  private let source: any ByteSource
  private let limit: UnpackingLimit
  private var handle: OpaquePointer?
  private var isAtEnd = false
  private var isInMember = false
  private var given = 0
  /// What holes read as so far.
  private var zeros = 0
  /// Why the source failed: libarchive has no place for it.
  private var failure: Error?

  /// - Parameters:
  ///   - source: the archive's bytes.
  ///   - path: what messages call it.
  ///   - limit: what all archives within one another may unpack to.
  init(_ source: any ByteSource, path: String, limit: UnpackingLimit) throws {
    self.source = source
    self.path = path
    self.limit = limit
    isZip = ContentKind.isZip(try source.peek(512))
    let next: peco_archive_source = { context, bytes in
      let reader = Unmanaged<ArchiveReader>.fromOpaque(context).takeUnretainedValue()
      return reader.next(bytes)
    }
    let seek: peco_archive_seek = { context, offset, whence in
      let reader = Unmanaged<ArchiveReader>.fromOpaque(context).takeUnretainedValue()
      return reader.source.seek(offset, whence) ?? -1
    }
    handle = peco_archive_open(
      next, isZip && source.canSeek ? seek : nil, Unmanaged.passUnretained(self).toOpaque(), isZip ? 1 : 0)
    if handle == nil { throw DatasetError(path, "cannot be read: out of memory") }
  }

  deinit { if let handle { peco_archive_close(handle) } }

  /// Gives libarchive what comes next.
  private func next(_ bytes: UnsafeMutablePointer<UnsafeRawPointer?>) -> Int64 {
    do {
      let block = try source.next()
      bytes.pointee = block.baseAddress
      if source is FileSource { limit.read(block.count) }
      return Int64(block.count)
    } catch {
      failure = error
      return -1
    }
  }

  /// Goes on to the next member; nil at the end. What is unread of the present one is skipped.
  ///
  /// Throws `NotAnArchive` where there is none at all.
  func next() throws -> Member? {
    guard let handle, !isAtEnd else { return nil }
    // libarchive would unpack what is left in one go, whatever it unpacks to.
    do { while try nextPart() != nil {} } catch is MemberDamaged {}
    if let failure { throw failure }
    var member = peco_archive_member()
    switch Int(peco_archive_next(handle, &member)) {
    case PECO_ARCHIVE_GO: break
    case PECO_ARCHIVE_END:
      isAtEnd = true
      return nil
    default:
      isAtEnd = true
      if failure == nil, peco_archive_is_recognized(handle) == 0 { throw NotAnArchive() }
      throw damaged(handle)
    }
    isInMember = true
    try limit.check(unpacked: Int(peco_archive_unpacked(handle)), path)
    let kind: Member.Kind =
      switch Int(member.kind) {
      case PECO_ARCHIVE_FILE: .file
      case PECO_ARCHIVE_FOLDER: .folder
      case PECO_ARCHIVE_HARD_LINK: .hardLink
      case PECO_ARCHIVE_SYMBOLIC_LINK: .symbolicLink
      default: .special
      }
    return Member(
      name: Self.path(member.name), kind: kind, size: member.size < 0 ? nil : Int(member.size),
      target: Self.path(member.target), isEncrypted: member.is_encrypted != 0)
  }

  /// The next part of the present member's content and where in it that lies, valid until the next call; nil at the end.
  /// What lies between parts is zero.
  func nextPart() throws -> (bytes: UnsafeRawBufferPointer, offset: Int)? {
    guard let handle, isInMember, !isAtEnd else { return nil }
    var bytes: UnsafeRawPointer?
    var count = 0
    var offset: Int64 = 0
    switch Int(peco_archive_read(handle, &bytes, &count, &offset)) {
    case PECO_ARCHIVE_GO: break
    case PECO_ARCHIVE_END:
      isInMember = false
      return nil
    case PECO_ARCHIVE_MEMBER_DAMAGED where failure == nil:
      isInMember = false
      throw MemberDamaged(reason: "cannot be unpacked: \(String(cString: peco_archive_message(handle)))")
    default:
      isAtEnd = true
      throw damaged(handle)
    }
    given += count
    try limit.check(unpacked: max(given, Int(peco_archive_unpacked(handle))), path)
    guard offset >= 0 else { throw MemberDamaged(reason: "has a part before its beginning") }
    return (UnsafeRawBufferPointer(start: bytes, count: count), Int(offset))
  }

  /// Counts what a hole reads as: a file of a few bytes may claim to be of any size. Nobody means that by an image.
  func note(zeros count: Int) throws {
    zeros += count
    guard limit.allows(unpacked: zeros) else { throw MemberDamaged(reason: "is almost nothing but a hole") }
  }

  private func damaged(_ handle: OpaquePointer) -> Error {
    if let failure { return failure }
    return DatasetError(
      path, "the archive cannot be read to its end: \(String(cString: peco_archive_message(handle)))",
      advice: "it is damaged or was cut short: fetch or copy it anew")
  }

  private static func path(_ name: UnsafePointer<CChar>?) -> SourcePath? {
    name.map { SourcePath(bytes: UnsafeRawBufferPointer(start: $0, count: strlen($0)).map(\.self)) }
  }
}

/// How much an archive may unpack to: one that is made to fill a disk or a memory, a bomb, is refused.
final class UnpackingLimit {
  /// Images hardly shrink, and text by ten times; deflate cannot do more than a thousand times.
  static let factor = 500
  /// Small archives may unpack to this in any case.
  static let least = 256 << 20

  private var packed = 0

  /// Notes that packed bytes were read.
  func read(_ count: Int) { packed += count }

  /// Whether so much may come of what has been read so far.
  func allows(unpacked: Int) -> Bool {
    unpacked <= max(Self.least, packed.multipliedReportingOverflow(by: Self.factor).partialValue)
  }

  /// Throws where too much came of it.
  func check(unpacked: Int, _ path: String) throws {
    guard !allows(unpacked: unpacked) else { return }
    throw DatasetError(
      path, "unpacks to more than \(Self.factor) times its size, as archives do that are made to do harm",
      advice: "if it is meant, unpack it into a folder")
  }
}

import Datasets
import Foundation

/// Reads a tar archive as a stream: ustar, GNU long names, pax headers; nothing is unpacked to disk.
final class TarReader {
  /// A member of the archive.
  struct Entry {
    enum Kind { case file, folder, link, other }
    /// Path inside the archive.
    let name: String
    let kind: Kind
    /// Bytes of payload.
    let size: Int
  }

  private let stream: ByteStream
  private let path: String
  /// Bytes of the present member, and of its padding, that have not been read.
  private var unread = 0
  private var padding = 0
  private var position = 0

  /// `path` names the archive in messages.
  init(_ stream: ByteStream, path: String) {
    self.stream = stream
    self.path = path
  }

  /// Goes on to the next member; nil at the end. What is unread of the present one is skipped.
  func next() throws -> Entry? {
    var longName: String?
    var pax: [String: String] = [:]
    while true {
      try skip(unread + padding)
      (unread, padding) = (0, 0)
      guard let header = try readHeader() else { return nil }
      let kind = header[156]
      guard let headerSize = Self.number(header[124..<136]) else { throw damaged("a size is no number") }
      let size = pax["size"].flatMap { Int($0) } ?? headerSize
      guard size >= 0 else { throw damaged("a size is negative") }
      unread = size
      padding = (512 - size % 512) % 512
      switch kind {
      case UInt8(ascii: "L"):
        longName = Self.text(try readMetadata()[...])
      case UInt8(ascii: "x"):
        pax.merge(Self.paxRecords(try readMetadata())) { $1 }
      case UInt8(ascii: "K"), UInt8(ascii: "g"):
        continue
      default:
        let name = pax["path"] ?? longName ?? Self.name(in: header)
        return Entry(name: name, kind: Self.kind(kind, name), size: size)
      }
    }
  }

  /// The whole payload of the present member.
  func readPayload() throws -> [UInt8] {
    let size = unread
    guard size < 1 << 31 else { throw damaged("a member claims to hold \(size) bytes") }
    let bytes = try [UInt8](unsafeUninitializedCapacity: size) { buffer, count in
      count = try read(
        into: UnsafeMutableRawBufferPointer(rebasing: UnsafeMutableRawBufferPointer(buffer)[..<size]))
    }
    guard bytes.count == size else { throw truncated() }
    return bytes
  }

  /// The payload of the present member as a stream, for an archive within the archive.
  func payload() -> ByteStream { Member(self) }

  private final class Member: ByteStream {
    private let reader: TarReader
    init(_ reader: TarReader) { self.reader = reader }
    func read(into buffer: UnsafeMutableRawBufferPointer) throws -> Int { try reader.read(into: buffer) }
  }

  /// Reads from the present member.
  private func read(into buffer: UnsafeMutableRawBufferPointer) throws -> Int {
    let part = UnsafeMutableRawBufferPointer(rebasing: buffer[..<min(buffer.count, unread)])
    guard !part.isEmpty else { return 0 }
    let count = try stream.readFully(into: part)
    guard count == part.count else { throw truncated() }
    unread -= count
    position += count
    return count
  }

  private func skip(_ count: Int) throws {
    guard count > 0 else { return }
    var left = count
    try withUnsafeTemporaryAllocation(byteCount: min(left, 1 << 16), alignment: 1) { scratch in
      while left > 0 {
        let part = UnsafeMutableRawBufferPointer(rebasing: scratch[..<min(left, scratch.count)])
        guard try stream.readFully(into: part) == part.count else { throw truncated() }
        left -= part.count
      }
    }
    position += count
  }

  /// The next header that is not all zero; nil at the end of the archive.
  private func readHeader() throws -> [UInt8]? {
    var header = [UInt8](repeating: 0, count: 512)
    let count = try header.withUnsafeMutableBytes { try stream.readFully(into: $0) }
    if count == 0 && position > 0 { return nil }
    guard count == 512 else {
      if position == 0 { throw notTar() }
      throw truncated()
    }
    if header.allSatisfy({ $0 == 0 }) { return nil }
    let stored = Self.number(header[148..<156])
    let sum = header.enumerated().reduce(0) { $0 + ((148..<156).contains($1.offset) ? 32 : Int($1.element)) }
    guard stored == sum else {
      if position == 0 { throw notTar() }
      throw damaged("the checksum of the header at byte \(position) is wrong")
    }
    position += 512
    return header
  }

  private func readMetadata() throws -> [UInt8] {
    guard unread < 1 << 20 else { throw damaged("a header claims to hold \(unread) bytes") }
    return try readPayload()
  }

  private func notTar() -> DatasetError {
    DatasetError(
      path, "is not a tar archive",
      advice: "give a folder of images, or a .tar or .tar.gz of one, or ILSVRC2012's train.tar")
  }

  private func truncated() -> DatasetError {
    DatasetError(path, "the archive ends in the middle of a member", advice: "fetch or copy it anew")
  }

  private func damaged(_ what: String) -> DatasetError {
    DatasetError(path, "the archive is damaged: \(what)", advice: "fetch or copy it anew")
  }

  // MARK: Fields of a header

  private static func kind(_ flag: UInt8, _ name: String) -> Entry.Kind {
    switch flag {
    // Old archives mark folders by the slash alone.
    case 0, UInt8(ascii: "0"), UInt8(ascii: "7"): name.hasSuffix("/") ? .folder : .file
    case UInt8(ascii: "5"): .folder
    case UInt8(ascii: "1"), UInt8(ascii: "2"): .link
    default: .other
    }
  }

  private static func name(in header: [UInt8]) -> String {
    let name = text(header[0..<100])
    // GNU's own format uses the place of the prefix for other things; its magic ends in spaces.
    guard Array(header[257..<263]) == Array("ustar\0".utf8) else { return name }
    let prefix = text(header[345..<500])
    return prefix.isEmpty ? name : prefix + "/" + name
  }

  private static func text(_ field: ArraySlice<UInt8>) -> String {
    String(decoding: field.prefix { $0 != 0 }, as: UTF8.self)
  }

  /// Octal digits, or GNU's binary form for sizes of 8 GiB and more.
  private static func number(_ field: ArraySlice<UInt8>) -> Int? {
    guard let first = field.first else { return nil }
    if first & 0x80 != 0 {
      var value = Int(first & 0x3F)
      for byte in field.dropFirst() {
        let (shifted, overflow) = value.multipliedReportingOverflow(by: 256)
        if overflow { return nil }
        value = shifted | Int(byte)
      }
      return value
    }
    let digits = field.drop { $0 == 32 }.prefix { $0 != 0 && $0 != 32 }
    if digits.isEmpty { return 0 }
    return Int(String(decoding: digits, as: UTF8.self), radix: 8)
  }

  /// Records of the form "LENGTH KEY=VALUE\n".
  private static func paxRecords(_ bytes: [UInt8]) -> [String: String] {
    var records: [String: String] = [:]
    var rest = bytes[...]
    while let space = rest.firstIndex(of: 32),
      let length = Int(String(decoding: rest[..<space], as: UTF8.self)),
      length > space - rest.startIndex + 1, length <= rest.count
    {
      let record = rest[(space + 1)..<(rest.startIndex + length)].dropLast()
      if let equals = record.firstIndex(of: UInt8(ascii: "=")) {
        let key = String(decoding: record[..<equals], as: UTF8.self)
        records[key] = String(decoding: record[(equals + 1)...], as: UTF8.self)
      }
      rest = rest[(rest.startIndex + length)...]
    }
    return records
  }
}

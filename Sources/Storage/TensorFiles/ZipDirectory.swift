import Foundation

/// Where the members of a zip archive lie, as far as they are stored as they are: `torch.save` compresses nothing, so that
/// tensors can be read in place. Archives of images are read by another.
struct ZipDirectory {
  /// A member's bytes.
  struct Member {
    /// From the start of the file.
    let offset: Int
    let count: Int
  }

  /// The members that are stored as they are.
  private(set) var members: [String: Member] = [:]

  private let descriptor: Int32
  private let path: String

  /// Reads the directory at the end of an open file.
  init(reading descriptor: Int32, _ path: String) throws {
    self.descriptor = descriptor
    self.path = path
    var information = stat()
    guard fstat(descriptor, &information) == 0 else { throw FileSystem.failure(path, "read the size") }
    let size = Int(information.st_size)
    let (entries, start, length) = try locate(size)
    guard length <= 1 << 30 else { throw damaged("its directory claims to have \(length) bytes") }
    guard entries >= 0 else { throw damaged("its directory claims to have more members than can be") }
    let directory = try bytes(at: start, count: length, of: size)
    var place = 0
    for _ in 0..<entries {
      guard let entry = Entry(directory, at: &place) else { throw damaged("its directory breaks off") }
      guard entry.isStored, entry.storedCount == entry.count else {
        throw StorageError(
          path: path, object: entry.name, problem: "is compressed or encrypted, which torch.save never does",
          advice: "save the weights again with torch.save, or as safetensors")
      }
      guard entry.headerOffset >= 0, entry.headerOffset <= size - 30 else {
        throw damaged("a member lies outside of it")
      }
      let header = try bytes(at: entry.headerOffset, count: 30, of: size)
      guard header.number(4, at: 0) == 0x0403_4B50 else { throw damaged("'\(entry.name)' has no header") }
      let offset = entry.headerOffset + 30 + header.number(2, at: 26) + header.number(2, at: 28)
      guard entry.count >= 0, offset <= size, entry.count <= size - offset else {
        throw damaged("'\(entry.name)' ends behind it")
      }
      guard members[entry.name] == nil else { throw damaged("it has two members called '\(entry.name)'") }
      members[entry.name] = Member(offset: offset, count: entry.count)
    }
  }

  /// The bytes of a member.
  func read(_ member: Member) throws -> [UInt8] {
    try bytes(at: member.offset, count: member.count, of: .max)
  }

  // MARK: - The directory

  private static let longestEnd = 22 + 65535

  /// How many members there are, where their directory begins and how long it is.
  private func locate(_ size: Int) throws -> (entries: Int, start: Int, count: Int) {
    let tailStart = max(0, size - Self.longestEnd)
    let tail = try bytes(at: tailStart, count: size - tailStart, of: size)
    guard
      let end = stride(from: tail.count - 22, through: 0, by: -1).first(where: {
        tail.number(4, at: $0) == 0x0605_4B50 && $0 + 22 + tail.number(2, at: $0 + 20) == tail.count
      })
    else { throw damaged("it has no directory at its end") }
    let (entries, count, start) = (
      tail.number(2, at: end + 10), tail.number(4, at: end + 12), tail.number(4, at: end + 16)
    )
    guard entries == 0xFFFF || count == 0xFFFF_FFFF || start == 0xFFFF_FFFF else {
      return (entries, start, count)
    }
    // Zip64: a second directory's end, found by what stands before the first.
    guard end >= 20, tail.number(4, at: end - 20) == 0x0706_4B50 else { return (entries, start, count) }
    let large = try bytes(at: tail.number(8, at: end - 12), count: 56, of: size)
    guard large.number(4, at: 0) == 0x0606_4B50 else {
      throw damaged("its directory's end is not where it says")
    }
    return (large.number(8, at: 32), large.number(8, at: 48), large.number(8, at: 40))
  }

  private func bytes(at offset: Int, count: Int, of size: Int) throws -> [UInt8] {
    guard offset >= 0, count >= 0, offset <= size, count <= size - offset else {
      throw damaged("its directory points outside of it")
    }
    var result = [UInt8](repeating: 0, count: count)
    try result.withUnsafeMutableBytes { try FileSystem.read(descriptor, path, $0, at: offset) }
    return result
  }

  private func damaged(_ what: String) -> StorageError {
    StorageError(
      path: path, problem: "is a damaged zip archive: \(what)",
      advice: "the file was cut short or changed; fetch or copy it anew")
  }
}

/// A member as the directory has it.
private struct Entry {
  let name: String
  let isStored: Bool
  var storedCount: Int
  var count: Int
  var headerOffset: Int

  /// Reads the one at `place`, and goes on behind it; nil where there is none.
  init?(_ bytes: [UInt8], at place: inout Int) {
    guard place + 46 <= bytes.count, bytes.number(4, at: place) == 0x0201_4B50 else { return nil }
    let (nameLength, extraLength, commentLength) = (
      bytes.number(2, at: place + 28), bytes.number(2, at: place + 30), bytes.number(2, at: place + 32)
    )
    let end = place + 46 + nameLength + extraLength
    guard end + commentLength <= bytes.count else { return nil }
    name = String(decoding: bytes[(place + 46)..<(place + 46 + nameLength)], as: UTF8.self)
    // No compression, and the bit for encryption not set.
    isStored = bytes.number(2, at: place + 10) == 0 && bytes.number(2, at: place + 8) & 1 == 0
    storedCount = bytes.number(4, at: place + 20)
    count = bytes.number(4, at: place + 24)
    headerOffset = bytes.number(4, at: place + 42)
    var extra = place + 46 + nameLength
    while extra + 4 <= end {
      let (kind, length) = (bytes.number(2, at: extra), bytes.number(2, at: extra + 2))
      guard extra + 4 + length <= end else { break }
      if kind == 1 {
        // Zip64: what is too large above stands here, in this order.
        var field = extra + 4
        func large() -> Int? {
          guard field + 8 <= extra + 4 + length else { return nil }
          defer { field += 8 }
          return bytes.number(8, at: field)
        }
        if count == 0xFFFF_FFFF { count = large() ?? count }
        if storedCount == 0xFFFF_FFFF { storedCount = large() ?? storedCount }
        if headerOffset == 0xFFFF_FFFF { headerOffset = large() ?? headerOffset }
      }
      extra += 4 + length
    }
    place = end + commentLength
  }
}

extension [UInt8] {
  /// A little-endian number of up to eight bytes; one that an `Int` cannot hold is negative, and so refused as a size.
  fileprivate func number(_ width: Int, at place: Int) -> Int {
    guard place >= 0, place + width <= count else { return -1 }
    var value: UInt64 = 0
    for index in (0..<width).reversed() { value = value << 8 | UInt64(self[place + index]) }
    return Int(truncatingIfNeeded: value)
  }
}

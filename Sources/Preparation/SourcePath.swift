import Foundation

/// A path inside a folder or an archive: bytes, which need not be UTF-8, and which are compared as they are.
///
/// `String` will not do. It holds two spellings of `é` for the same, joins a combining mark to the slash before it, and
/// puts U+FFFD in the place of every byte that it cannot decode.
struct SourcePath: Hashable, Sendable {
  /// Names with a slash between each two.
  let bytes: [UInt8]

  static let slash = UInt8(ascii: "/")
  static let dot = UInt8(ascii: ".")

  init(bytes: [UInt8]) { self.bytes = bytes }

  init(_ components: some Sequence<[UInt8]>) { bytes = Array(components.joined(separator: [Self.slash])) }

  /// What is meant by a text that `text` may have given: `\xE9` is the byte E9.
  init(text: String) {
    var bytes: [UInt8] = []
    let source = Array(text.utf8)
    var index = 0
    while index < source.count {
      if let byte = Self.escaped(source, at: index) {
        bytes.append(byte)
        index += 4
      } else {
        bytes.append(source[index])
        index += 1
      }
    }
    self.bytes = bytes
  }

  /// Whether it means the same in every encoding.
  var isASCII: Bool { bytes.allSatisfy { $0 < 0x80 } }

  /// The names along the path; those that say nothing, as in `./a//b`, are left out.
  var components: [[UInt8]] {
    bytes.split(separator: Self.slash).map(Array.init).filter { $0 != [Self.dot] }
  }

  /// The first folder along the path; nil for a name alone.
  var firstFolder: SourcePath? {
    bytes.firstIndex(of: Self.slash).map { SourcePath(bytes: Array(bytes[..<$0])) }
  }

  /// The folder that it lies in; nil for a name alone.
  var folder: SourcePath? {
    bytes.lastIndex(of: Self.slash).map { SourcePath(bytes: Array(bytes[..<$0])) }
  }

  /// The path as text, a different one for every path: bytes that are not UTF-8 are written `\xE9`, and so is the
  /// backslash of a name that has such a thing itself.
  var text: String {
    var result: [UInt8] = []
    result.reserveCapacity(bytes.count)
    forEachScalar { scalar, isDecodable in
      let isBackslash =
        scalar == scalar.startIndex..<scalar.startIndex + 1 && bytes[scalar.startIndex] == 0x5C
      if isDecodable, !isBackslash || Self.escaped(bytes, at: scalar.startIndex) == nil {
        result.append(contentsOf: bytes[scalar])
      } else {
        result.append(contentsOf: Self.escape(bytes[scalar.startIndex]))
      }
    }
    return String(decoding: result, as: UTF8.self)
  }

  /// Paths are in the order of their keys: folder by folder, names by code points, and bytes that are not UTF-8 as
  /// U+DC80 to U+DCFF. That is Python's order of the names that it reads from a file system.
  var sortKey: [UInt8] {
    var key: [UInt8] = []
    key.reserveCapacity(bytes.count)
    forEachScalar { scalar, isDecodable in
      let byte = bytes[scalar.startIndex]
      if !isDecodable {
        // The code point as UTF-8 would write it, if it could: the order of such bytes is that of code points.
        key += [0xED, 0xB0 | byte >> 6, 0x80 | byte & 0x3F]
      } else if byte == Self.slash {
        // "cat/x" comes before "cat-big/x", although "-" comes before "/".
        key.append(0)
      } else {
        key.append(contentsOf: bytes[scalar])
      }
    }
    return key
  }

  /// Calls `body` with the place of every code point, and of every byte that belongs to none.
  private func forEachScalar(_ body: (Range<Int>, _ isDecodable: Bool) -> Void) {
    var index = 0
    while index < bytes.count {
      let length = Self.scalarLength(bytes[index...])
      body(index..<index + (length ?? 1), length != nil)
      index += length ?? 1
    }
  }

  /// How many bytes the code point at the start of some bytes takes; nil where there is none in UTF-8.
  private static func scalarLength(_ bytes: ArraySlice<UInt8>) -> Int? {
    guard let first = bytes.first else { return nil }
    // What the second byte may be rules out code points in more bytes than they need, surrogates, and those that
    // Unicode does not have.
    let (length, second): (Int, ClosedRange<UInt8>)
    switch first {
    case 0x00...0x7F: return 1
    case 0xC2...0xDF: (length, second) = (2, 0x80...0xBF)
    case 0xE0: (length, second) = (3, 0xA0...0xBF)
    case 0xED: (length, second) = (3, 0x80...0x9F)
    case 0xE1...0xEF: (length, second) = (3, 0x80...0xBF)
    case 0xF0: (length, second) = (4, 0x90...0xBF)
    case 0xF1...0xF3: (length, second) = (4, 0x80...0xBF)
    case 0xF4: (length, second) = (4, 0x80...0x8F)
    default: return nil
    }
    let rest = bytes.dropFirst().prefix(length - 1)
    guard rest.count == length - 1, let next = rest.first, second.contains(next),
      rest.allSatisfy({ $0 & 0xC0 == 0x80 })
    else { return nil }
    return length
  }

  private static func escape(_ byte: UInt8) -> [UInt8] {
    let digits = Array("0123456789ABCDEF".utf8)
    return [0x5C, UInt8(ascii: "x"), digits[Int(byte >> 4)], digits[Int(byte & 15)]]
  }

  /// The byte that `\xE9` at a place of a text stands for; nil where something else stands there.
  private static func escaped(_ text: [UInt8], at index: Int) -> UInt8? {
    guard index + 4 <= text.count, text[index] == 0x5C, text[index + 1] == UInt8(ascii: "x") else {
      return nil
    }
    let digits = text[(index + 2)..<(index + 4)]
    guard digits.allSatisfy({ (0x30...0x39).contains($0) || (0x41...0x46).contains($0) }) else { return nil }
    return UInt8(String(decoding: digits, as: UTF8.self), radix: 16)
  }
}

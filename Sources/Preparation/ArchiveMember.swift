import Datasets
import Foundation

/// The content of an archive's present member, holes included; valid until the archive goes on.
final class ArchiveMember: ByteSource {
  let canSeek = false
  private let reader: ArchiveReader
  private let size: Int?
  /// Blocks that were looked at and not yet given.
  private var waiting: [UnsafeRawBufferPointer] = []
  /// Where small blocks are gathered to be looked at together.
  private var head: [UnsafeMutableRawBufferPointer] = []
  /// Where the next block lies in the content.
  private var position = 0
  /// A part of the content that lies behind a hole.
  private var behind: (bytes: UnsafeRawBufferPointer, offset: Int)?
  private var isAtEnd = false
  /// What a hole reads as; never written to.
  private nonisolated(unsafe) static let zeros: UnsafeRawBufferPointer = {
    let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 16, alignment: 64)
    memory.initializeMemory(as: UInt8.self, repeating: 0)
    return UnsafeRawBufferPointer(memory)
  }()

  init(_ reader: ArchiveReader, size: Int?) {
    self.reader = reader
    self.size = size
  }

  deinit { for block in head { block.deallocate() } }

  func next() throws -> UnsafeRawBufferPointer {
    waiting.isEmpty ? try fetch() : waiting.removeFirst()
  }

  func peek(_ count: Int) throws -> UnsafeRawBufferPointer {
    if waiting.isEmpty { waiting = [try fetch()] }
    guard waiting[0].count < count, !isAtEnd else { return waiting[0] }
    // A block is only valid until the next: what comes before is copied.
    var gathered = Array(waiting[0])
    var rest = UnsafeRawBufferPointer(start: nil, count: 0)
    while gathered.count < count {
      let block = try fetch()
      if block.isEmpty { break }
      let missing = min(count - gathered.count, block.count)
      gathered += block[..<missing]
      rest = UnsafeRawBufferPointer(rebasing: block[missing...])
    }
    let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: max(gathered.count, 1), alignment: 1)
    copy.copyBytes(from: gathered)
    head.append(copy)
    waiting = [UnsafeRawBufferPointer(rebasing: copy[..<gathered.count])] + (rest.isEmpty ? [] : [rest])
    return waiting[0]
  }

  func seek(_ offset: Int64, _ whence: Int32) -> Int64? { nil }

  /// All of the content; throws `MemberDamaged` where it is more than `limit` bytes.
  func readAll(limit: Int) throws -> [UInt8] {
    func tooLarge(_ size: Int) -> ArchiveReader.MemberDamaged {
      ArchiveReader.MemberDamaged(reason: "holds \(size) bytes, more than the \(limit) accepted of an image")
    }
    if let size, size > limit { throw tooLarge(size) }
    var bytes: [UInt8] = []
    // What a header claims need not be there.
    bytes.reserveCapacity(min(size ?? 0, 16 << 20))
    while true {
      let block = try next()
      if block.isEmpty { return bytes }
      guard bytes.count + block.count <= limit else { throw tooLarge(bytes.count + block.count) }
      bytes.append(contentsOf: block)
    }
  }

  /// The next block: what the archive holds, or some of the hole before it.
  private func fetch() throws -> UnsafeRawBufferPointer {
    while !isAtEnd {
      if behind == nil { behind = try reader.nextPart() }
      let hole = (behind?.offset ?? size ?? position) - position
      if hole > 0 {
        let zeros = UnsafeRawBufferPointer(rebasing: Self.zeros[..<min(hole, Self.zeros.count)])
        position += zeros.count
        try reader.note(zeros: zeros.count)
        return zeros
      }
      guard let part = behind else { break }
      behind = nil
      guard hole == 0 else { throw ArchiveReader.MemberDamaged(reason: "has parts that overlap") }
      guard !part.bytes.isEmpty else { continue }
      position += part.bytes.count
      return part.bytes
    }
    isAtEnd = true
    return UnsafeRawBufferPointer(start: nil, count: 0)
  }
}

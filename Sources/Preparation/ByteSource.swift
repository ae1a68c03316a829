import Datasets
import Foundation

/// Bytes that come one after another, a block at a time: a file, or a member of an archive.
protocol ByteSource: AnyObject {
  /// What comes next, valid until the next call; empty at the end.
  func next() throws -> UnsafeRawBufferPointer

  /// At least the next `count` bytes, or all that are left; `next` gives them all the same.
  func peek(_ count: Int) throws -> UnsafeRawBufferPointer

  /// Whether `seek` works.
  var canSeek: Bool { get }

  /// Moves as `lseek` does and tells where to; nil where that fails.
  func seek(_ offset: Int64, _ whence: Int32) -> Int64?
}

/// A file or a pipe, read from beginning to end.
final class FileSource: ByteSource {
  /// Whether the file can be read again.
  let canSeek: Bool
  private let path: String
  private let descriptor: Int32
  private let isCancelled: () -> Bool
  private let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 4096)
  /// What was looked at and not yet given.
  private var peeked = 0..<0

  /// Opens a file, also a pipe that nobody has begun to write to.
  ///
  /// - Parameters:
  ///   - file: the path, in bytes.
  ///   - path: what messages call it.
  ///   - isCancelled: asked a few times a second, whether or not anything comes.
  init(_ file: [UInt8], path: String, isCancelled: @escaping () -> Bool) throws {
    self.path = path
    self.isCancelled = isCancelled
    let file = try OpenFile(file, path: path)
    switch file.kind {
    case .regular: canSeek = true
    case .pipe: canSeek = false
    default:
      throw DatasetError(
        path, "is \(file.kind.rawValue)", advice: "give a folder or an archive", field: .input)
    }
    descriptor = file.keep()
  }

  deinit {
    close(descriptor)
    buffer.deallocate()
  }

  func next() throws -> UnsafeRawBufferPointer {
    if peeked.isEmpty { peeked = 0..<(try read(at: 0)) }
    defer { peeked = 0..<0 }
    return UnsafeRawBufferPointer(rebasing: buffer[peeked])
  }

  func peek(_ count: Int) throws -> UnsafeRawBufferPointer {
    while peeked.count < min(count, buffer.count) {
      let more = try read(at: peeked.upperBound)
      if more == 0 { break }
      peeked = 0..<(peeked.upperBound + more)
    }
    return UnsafeRawBufferPointer(rebasing: buffer[peeked])
  }

  func seek(_ offset: Int64, _ whence: Int32) -> Int64? {
    peeked = 0..<0
    let place = lseek(descriptor, off_t(offset), whence)
    return place < 0 ? nil : Int64(place)
  }

  /// Reads into the buffer from a place on; 0 at the end of the file.
  private func read(at place: Int) throws -> Int {
    while true {
      if isCancelled() { throw DatasetError(path, "interrupted") }
      // Who reads a pipe without waiting is told of its end where nobody has begun to write.
      if !canSeek, !isReady() { continue }
      let count = Foundation.read(descriptor, buffer.baseAddress?.advanced(by: place), buffer.count - place)
      if count >= 0 { return count }
      guard errno == EINTR || errno == EAGAIN else {
        throw DatasetError(
          path, "cannot be read: \(String(cString: strerror(errno)))", advice: "check the disk")
      }
    }
  }

  /// Waits a moment for a pipe to have something, or to end.
  private func isReady() -> Bool {
    var wanted = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
    return poll(&wanted, 1, 200) > 0
  }
}

/// What a path leads to, opened for reading without waiting for anybody.
struct OpenFile: ~Copyable {
  /// What there is beside regular files.
  enum Kind: String {
    case regular = "a regular file"
    case folder = "a folder"
    case pipe = "a named pipe"
    case socket = "a socket"
    case device = "a device"

    init(_ information: stat) {
      switch information.st_mode & S_IFMT {
      case S_IFREG: self = .regular
      case S_IFDIR: self = .folder
      case S_IFIFO: self = .pipe
      case S_IFSOCK: self = .socket
      default: self = .device
      }
    }
  }

  let kind: Kind
  let size: Int
  private let descriptor: Int32

  init(_ file: [UInt8], path: String) throws {
    func failure() -> DatasetError {
      DatasetError(path, "cannot be read: \(String(cString: strerror(errno)))", advice: "check the path")
    }
    descriptor = withPath(file) { open($0, O_RDONLY | O_NONBLOCK | O_CLOEXEC) }
    guard descriptor >= 0 else { throw failure() }
    var information = stat()
    guard fstat(descriptor, &information) == 0 else {
      let failure = failure()
      close(descriptor)
      throw failure
    }
    kind = Kind(information)
    size = Int(information.st_size)
  }

  deinit { close(descriptor) }

  /// Lends the descriptor.
  borrowing func read<Result>(_ body: (Int32) throws -> Result) rethrows -> Result { try body(descriptor) }

  /// The descriptor, from now on the caller's to close.
  consuming func keep() -> Int32 {
    let kept = descriptor
    discard self
    return kept
  }
}

/// Lends a path of bytes as the system wants it.
func withPath<Result>(_ bytes: [UInt8], _ body: (UnsafePointer<CChar>) throws -> Result) rethrows -> Result {
  let characters = bytes.map { CChar(bitPattern: $0) } + [0]
  return try characters.withUnsafeBufferPointer { buffer in
    // Never nil: there is the zero at least.
    try buffer.baseAddress.map(body) ?? body("")
  }
}

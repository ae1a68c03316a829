import Foundation

/// What a file is by its first bytes: what people have where weights should be.
enum FileKind: Equatable {
  case safetensors, json, zip, pickle, hdf5, gzip, numpy, gguf, tar, html, empty, unknown
  /// What stands for a file in a repository of Git's until Git LFS fetches it.
  case lfsPointer

  /// Reads the first bytes.
  init(of path: String) throws {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard descriptor >= 0 else { throw FileSystem.failure(path, "open") }
    defer { close(descriptor) }
    var information = stat()
    guard fstat(descriptor, &information) == 0 else { throw FileSystem.failure(path, "read the size") }
    guard information.st_mode & S_IFMT == S_IFREG else {
      throw StorageError(
        path: path, problem: "is not a regular file", advice: "give a file, or a folder of files")
    }
    var bytes = [UInt8](repeating: 0, count: 512)
    let count = try bytes.withUnsafeMutableBytes { memory in
      do {
        return try FullRead.fill(memory, from: descriptor, at: 0)
      } catch let error as SystemFailure {
        throw StorageError(path: path, problem: "cannot read: \(error.reason)")
      }
    }
    self.init(bytes.prefix(count))
  }

  /// By the first bytes, up to 512.
  init(_ bytes: ArraySlice<UInt8>) {
    func begins(_ magic: [UInt8], at offset: Int = 0) -> Bool {
      bytes.dropFirst(offset).starts(with: magic)
    }
    func begins(_ magic: String, at offset: Int = 0) -> Bool { begins(Array(magic.utf8), at: offset) }
    let text = String(
      decoding: bytes.prefix(256).drop { [0x20, 0x09, 0x0A, 0x0D, 0xEF, 0xBB, 0xBF].contains($0) },
      as: UTF8.self
    )
    .lowercased()
    self =
      if bytes.isEmpty {
        .empty
      } else if begins([0x89] + Array("HDF\r\n".utf8)) || begins("PECOSEAL") {
        .hdf5
      } else if begins("PK\u{3}\u{4}") || begins("PK\u{5}\u{6}") {
        .zip
      } else if begins([0x80, 0x02]) || begins([0x80, 0x03]) || begins([0x80, 0x04]) || begins([0x80, 0x05]) {
        .pickle
      } else if begins([0x1F, 0x8B]) {
        .gzip
      } else if begins([0x93] + Array("NUMPY".utf8)) {
        .numpy
      } else if begins("GGUF") {
        .gguf
      } else if begins("ustar", at: 257) {
        .tar
      } else if begins("version https://git-lfs") {
        .lfsPointer
      } else if text.hasPrefix("<!doctype html") || text.hasPrefix("<html") || text.hasPrefix("<?xml") {
        .html
      } else if bytes.count > 8, bytes[bytes.startIndex + 8] == UInt8(ascii: "{"), begins([0, 0], at: 6) {
        // A header of less than 2⁴⁸ bytes, in JSON.
        .safetensors
      } else if text.hasPrefix("{") {
        .json
      } else {
        .unknown
      }
  }

  /// What it is, for messages.
  var words: String {
    switch self {
    case .safetensors: "a safetensors file"
    case .json: "a text in JSON"
    case .zip: "a zip archive"
    case .pickle: "a pickle of Python's"
    case .hdf5: "an HDF5 file"
    case .gzip: "compressed by gzip"
    case .numpy: "an array of NumPy's"
    case .gguf: "a GGUF file"
    case .tar: "a tar archive"
    case .html: "a web page"
    case .empty: "empty"
    case .lfsPointer: "a pointer of Git LFS's, which stands for a file that was not fetched"
    case .unknown: "of a kind that is not known"
    }
  }

  /// What to do.
  var advice: String {
    switch self {
    case .html: "the address was that of a page about the file; fetch the file itself"
    case .lfsPointer: "run `git lfs pull` in its repository, or fetch the file itself"
    case .empty: "fetch or copy it anew"
    case .gzip, .tar: "unpack it first"
    case .hdf5: "if it is a checkpoint of peco, it needs no import"
    default: "give a safetensors file, its index, or a file of torch.save"
    }
  }
}

import Foundation
import Hashing
import Imaging
import Storage

/// An image dataset in one HDF5 file, as `DatasetPreparation` writes it.
///
/// The index (offsets, sizes, labels) is read into memory once. Images are read by `pread` past HDF5 and its
/// global lock, so that any number of threads may read at once.
///
/// Unchecked: all is constant but the names, which a lock guards; `pread` moves no file position.
public final class ImageDataset: @unchecked Sendable {
  /// The path given when the dataset was opened.
  public let path: String
  /// Number of images.
  public let count: Int
  /// The names of the classes, in the order of labels; empty for a dataset without labels.
  public let classes: [String]
  /// The class of each image, or -1 in a dataset without labels.
  public let labels: [Int32]
  /// The height of each image in pixels, once it is turned.
  public let heights: [Int32]
  /// The width of each image in pixels, once it is turned.
  public let widths: [Int32]
  /// The xxHash64 of each image's bytes.
  public let checksums: [UInt64]
  /// Identifies the content: all checksums and labels in order, and orientations where there are any.
  public let fingerprint: UInt64

  /// What the images were made from, as named when the dataset was prepared.
  public let source: String
  /// Images of the source that could not be used.
  public let skipped: Int
  /// What the short side of larger images was resized to, if they were.
  public let shortSide: Int?
  /// The JPEG quality of resized images.
  public let quality: Int?
  /// Images that are turned when they are decoded, because the camera noted so; nil where such notes do not count.
  public let turned: Int?

  /// How images have to be turned; nil where none has.
  private let orientations: [UInt8]?
  private let offsets: [UInt64]
  private let payload: UInt64
  private let descriptor: Int32
  private let namesLock = NSLock()
  private var namesRead: [String]?

  /// Opens a dataset; throws when the file is no dataset, cut short or inconsistent.
  public init(opening path: String) throws {
    self.path = path
    let file = try HDF5File(opening: path)
    defer { try? file.close() }
    // Others' files have attributes of other types under this name.
    guard (try? file.attribute("format", as: String.self)) == DatasetFormat.name else {
      throw DatasetError(
        path, "is an HDF5 file but no image dataset", advice: "make one of images",
        field: .dataset)
    }
    let version = try file.attribute("format_version", as: Int.self) ?? 0
    guard (DatasetFormat.version...DatasetFormat.versionWithOrientation).contains(version) else {
      throw DatasetError(
        path,
        "has dataset format version \(version), this program reads versions \(DatasetFormat.version) and "
          + "\(DatasetFormat.versionWithOrientation)",
        advice: version > DatasetFormat.version ? "use a newer peco" : "prepare the dataset anew")
    }
    source = try file.attribute("source", as: String.self) ?? ""
    skipped = try file.attribute("skipped", as: Int.self) ?? 0
    shortSide = try file.attribute("short_side", as: Int.self)
    quality = try file.attribute("quality", as: Int.self)
    let orientations: [UInt8]? =
      version == DatasetFormat.versionWithOrientation ? try file.read(DatasetFormat.orientations) : nil
    self.orientations = orientations
    turned = try file.attribute(DatasetFormat.exifOrientation, as: String.self).map { _ in
      orientations?.count { $0 != ImageOrientation.upright.rawValue } ?? 0
    }
    offsets = try file.read(DatasetFormat.offsets)
    labels = try file.read(DatasetFormat.labels)
    heights = try file.read(DatasetFormat.heights)
    widths = try file.read(DatasetFormat.widths)
    checksums = try file.read(DatasetFormat.checksums)
    classes = try file.readStrings(DatasetFormat.classes)
    count = offsets.count - 1
    let images = count
    guard images > 0,
      [labels.count, heights.count, widths.count, checksums.count, orientations?.count ?? images]
        .allSatisfy({ $0 == images })
    else {
      throw DatasetError(
        path, "is damaged: offsets, sizes, labels and checksums do not agree on the number of images",
        advice: "prepare the dataset anew")
    }
    guard orientations?.allSatisfy({ ImageOrientation(rawValue: $0) != nil }) ?? true else {
      throw DatasetError(path, "is damaged: an orientation is none", advice: "prepare the dataset anew")
    }
    guard heights.allSatisfy({ $0 > 0 }), widths.allSatisfy({ $0 > 0 }) else {
      throw DatasetError(
        path, "is damaged: an image has no height or no width", advice: "prepare the dataset anew")
    }
    let classCount = Int32(classes.count)
    guard labels.allSatisfy({ $0 >= -1 && $0 < classCount }) else {
      throw DatasetError(path, "is damaged: a label is no class", advice: "prepare the dataset anew")
    }
    guard let end = offsets.last, zip(offsets, offsets.dropFirst()).allSatisfy({ $0 < $1 }),
      try file.shape(of: DatasetFormat.bytes) == [Int(clamping: end)]
    else {
      throw DatasetError(
        path, "is damaged: the offsets do not fit the images' bytes", advice: "prepare the dataset anew")
    }
    guard let payload = try file.contiguousOffset(of: DatasetFormat.bytes) else {
      throw DatasetError(
        path, "\(DatasetFormat.bytes) does not lie in one piece, as it must to be read by many threads",
        advice: "prepare the dataset anew, or copy the file as it is rather than repacked in chunks")
    }
    self.payload = payload
    fingerprint = Self.fingerprint(checksums: checksums, labels: labels, orientations: orientations)
    if let stored = try file.attribute("fingerprint", as: UInt64.self), stored != fingerprint {
      throw DatasetError(
        path, "is damaged: its index does not match its fingerprint", advice: "prepare the dataset anew")
    }
    descriptor = open(path, O_RDONLY)
    guard descriptor >= 0 else {
      throw DatasetError(path, "cannot open: \(String(cString: strerror(errno)))")
    }
    var information = stat()
    guard fstat(descriptor, &information) == 0, UInt64(information.st_size) >= payload + end else {
      close(descriptor)
      throw DatasetError(
        path, "is cut short: \(payload + end) bytes are expected, \(information.st_size) are there",
        advice: "copy it again or prepare it anew")
    }
    #if os(Linux)
      // Training reads in random order: reading ahead would only fill the page cache with what is not wanted.
      posix_fadvise(descriptor, 0, 0, POSIX_FADV_RANDOM)
    #endif
  }

  deinit { close(descriptor) }

  /// The number of bytes of an image's file.
  public func byteCount(_ index: Int) -> Int { Int(offsets[index + 1] - offsets[index]) }

  /// The bytes of all images together.
  public var totalBytes: UInt64 { (offsets.last ?? 0) - (offsets.first ?? 0) }

  /// An image's name: its path in the folder or archive it came from.
  public func name(_ index: Int) throws -> String {
    let names = try names()
    return names.indices.contains(index) ? names[index] : "image \(index)"
  }

  /// Every image's name, in order.
  public func names() throws -> [String] {
    try namesLock.withLock {
      if let namesRead { return namesRead }
      let file = try HDF5File(opening: path)
      defer { try? file.close() }
      let names = try file.readStrings(DatasetFormat.names)
      namesRead = names
      return names
    }
  }

  /// Reads an image's encoded bytes into a buffer, which grows to hold them. Throws where they are not those that the
  /// stored checksum was made of.
  public func read(_ index: Int, into buffer: inout [UInt8]) throws {
    precondition((0..<count).contains(index), "image \(index) of \(count)")
    let size = byteCount(index)
    if buffer.count != size {
      // Shrinking and growing within the capacity touches no memory that is not needed.
      if buffer.count > size {
        buffer.removeLast(buffer.count - size)
      } else {
        buffer.append(contentsOf: repeatElement(0, count: size - buffer.count))
      }
    }
    do {
      let got = try buffer.withUnsafeMutableBytes {
        try FullRead.fill($0, from: descriptor, at: Int(payload + offsets[index]))
      }
      guard got == size else {
        throw DatasetError(
          path, "is cut short at \(describe(index))", advice: "copy it again or prepare it anew")
      }
    } catch let error as SystemFailure {
      throw DatasetError(path, "cannot read \(describe(index)): \(error.reason)")
    }
    guard buffer.withUnsafeBytes({ XXHash64.hash($0) }) == checksums[index] else {
      throw DatasetError(
        path, "\(describe(index)) does not match its checksum",
        advice: "the file is damaged; copy it again or prepare it anew")
    }
  }

  /// How an image has to be turned after decoding, before anything else.
  public func orientation(_ index: Int) -> ImageOrientation {
    orientations.flatMap { ImageOrientation(rawValue: $0[index]) } ?? .upright
  }

  /// How messages call an image: index and name.
  public func describe(_ index: Int) -> String {
    let name = ((try? name(index)) ?? "").printable
    return name.isEmpty ? "image \(index)" : "image \(index) (\(name))"
  }

  package static func fingerprint(
    checksums: [UInt64], labels: [Int32], orientations: [UInt8]? = nil
  ) -> UInt64 {
    // In two steps, so that no copy of the whole index is made: the hash of the labels' and the checksums' hashes.
    var parts = [
      checksums.withUnsafeBytes { XXHash64.hash($0) }, labels.withUnsafeBytes { XXHash64.hash($0) },
      UInt64(checksums.count),
    ]
    // Images that are turned are other images: tokens of crops of the ones are none of the others'.
    if let orientations { parts.append(orientations.withUnsafeBytes { XXHash64.hash($0) }) }
    return parts.map(\.littleEndian).withUnsafeBytes { XXHash64.hash($0) }
  }
}

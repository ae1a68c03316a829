import Datasets
import Foundation
import Hashing
import Storage
import Threads

/// Makes a dataset of synthetic images: shapes in ten classes, for trials without any data.
public struct DatasetSynthesis: Sendable {
  /// Number of images.
  public var count: Int
  /// Pixels from edge to edge.
  public var size: Int
  /// Another seed gives other images.
  public var seed: UInt64
  /// JPEG quality, 1 to 100.
  public var quality = 92
  /// Threads that draw.
  public var workers = 1

  public init(count: Int, size: Int, seed: UInt64) {
    self.count = count
    self.size = size
    self.seed = seed
  }

  /// Writes a dataset file; gives back its fingerprint.
  ///
  /// - Parameters:
  ///   - path: The file to write.
  ///   - cancellation: Ends the work early.
  ///   - onProgress: Called a few times a second with the images done, on the calling thread.
  public func write(
    dataset path: String, cancellation: Cancellation = Cancellation(), onProgress: (Int) -> Void = { _ in }
  ) throws -> UInt64 {
    try validate()
    let writer = try DatasetWriter(path: path)
    let records = Records(count)
    try forEachImage(path, cancellation, onProgress) { index, bytes in
      let (offset, checksum) = try bytes.withUnsafeBytes { (try writer.append($0), XXHash64.hash($0)) }
      records.set(
        index,
        ImageRecord(
          name: name(index), label: Int32(SyntheticImage.label(index)), height: Int32(size),
          width: Int32(size), checksum: checksum, offset: offset, size: bytes.count))
    }
    return try writer.finish(records.all, classes: SyntheticImage.classes) { file in
      try file.setAttribute("source", "synthetic")
      try file.setAttribute("seed", seed)
      try file.setAttribute("skipped", 0)
    } onSlab: { _ in
      try cancellation.check(path)
    }
  }

  /// Writes the same images as a folder of CLASS/NAME.jpg, for trying `prepare` out.
  public func write(
    folder path: String, cancellation: Cancellation = Cancellation(), onProgress: (Int) -> Void = { _ in }
  ) throws {
    try validate()
    do {
      for name in SyntheticImage.classes {
        try FileManager.default.createDirectory(
          atPath: "\(path)/\(name)", withIntermediateDirectories: true)
      }
    } catch {
      throw DatasetError(path, "cannot make the folders: \(error.localizedDescription)")
    }
    try forEachImage(path, cancellation, onProgress) { index, bytes in
      let file = "\(path)/\(name(index))"
      do {
        try Data(bytes).write(to: URL(fileURLWithPath: file))
      } catch {
        throw DatasetError(file, "cannot write: \(error.localizedDescription)")
      }
    }
  }

  private func validate() throws {
    guard count > 0 else { throw DatasetError(.imageCount, "is \(count), must be at least 1") }
    guard (8...4096).contains(size) else { throw DatasetError(.imageSide, "is \(size), must be 8 to 4096") }
    guard (1...100).contains(quality) else {
      throw DatasetError(.quality, "is \(quality), must be 1 to 100")
    }
    guard workers > 0 else { throw DatasetError(.workers, "is \(workers), must be at least 1") }
  }

  private func name(_ index: Int) -> String {
    let digits = String(index)
    let padded = String(repeating: "0", count: max(0, 8 - digits.count)) + digits
    return "\(SyntheticImage.classes[SyntheticImage.label(index)])/\(padded).jpg"
  }

  private func forEachImage(
    _ path: String, _ cancellation: Cancellation, _ onProgress: (Int) -> Void,
    _ body: @escaping @Sendable (Int, [UInt8]) throws -> Void
  ) throws {
    let image = SyntheticImage(size: size, seed: seed)
    try WorkerGroup.forEach(count, workers: workers, context: ImageCodec.init) { index, codec in
      try body(index, try codec.encode(image.draw(index), width: size, height: size, quality: quality))
    } onTick: { done in
      try cancellation.check(path)
      onProgress(done)
    }
  }

  /// The records, each set by some thread.
  ///
  /// Unchecked: a lock guards the records.
  private final class Records: @unchecked Sendable {
    private let lock = NSLock()
    private var records: [ImageRecord?]
    init(_ count: Int) { records = Array(repeating: nil, count: count) }
    func set(_ index: Int, _ record: ImageRecord) { lock.withLock { records[index] = record } }
    var all: [ImageRecord] { records.compactMap { $0 } }
  }
}

import Datasets
import Foundation
import Hashing
import Storage
import Threads

/// The threads of one preparation: one walks the source, the others look at the images it finds.
///
/// Unchecked: a lock guards what was found; it is read without one when all threads have ended.
final class PreparationJob: @unchecked Sendable {
  let writer: DatasetWriter
  private let settings: DatasetPreparation
  private let source: ImageSource
  private let cancellation: Cancellation

  private let lock = NSLock()
  private var progress = DatasetPreparation.Progress()
  /// What was found; read it after `gather`.
  private(set) var records: [ImageRecord] = []
  private(set) var skipped: [DatasetPreparation.Skipped] = []
  private(set) var resized = 0

  init(
    _ settings: DatasetPreparation, _ source: ImageSource, _ writer: DatasetWriter,
    _ cancellation: Cancellation
  ) {
    self.settings = settings
    self.source = source
    self.writer = writer
    self.cancellation = cancellation
  }

  /// Looks at all images; returns when every thread has ended.
  func gather(onProgress: (DatasetPreparation.Progress) -> Void) throws -> DatasetPreparation.Progress {
    let queue = BoundedQueue<ImageSource.Found>(limit: 64 << 20)
    let group = WorkerGroup { queue.close(discarding: true) }
    group.start("peco-prepare-read") { [source, settings] in
      defer { queue.close() }
      try source.forEachImage(subset: settings.subset) { found in
        var cost = 1 << 12
        if case .bytes(let bytes) = found.content { cost += bytes.count }
        return queue.add(found, cost: cost)
      }
    }
    for index in 0..<settings.workers {
      group.start("peco-prepare-\(index)") { [self] in
        let codec = ImageCodec()
        while let found = queue.take() { try look(at: found, codec) }
      }
    }
    try group.wait {
      try cancellation.check(settings.output)
      onProgress(lock.withLock { progress })
    }
    return progress
  }

  private func look(at found: ImageSource.Found, _ codec: ImageCodec) throws {
    let image: ImageCodec.Checked
    do {
      let bytes: [UInt8]
      switch found.content {
      case .unusable(let reason): throw DatasetError(found.path, reason)
      case .bytes(let content): bytes = content
      case .file(let path): bytes = try readWholeFile(path)
      }
      image = try codec.check(bytes, found.path, shortSide: settings.shortSide, quality: settings.quality)
    } catch let error as DatasetError {
      // Where it is strict the first bad image ends the job, rather than the hour's work after it.
      if settings.isStrict {
        throw settings.strictError(found.path, error.problem)
      }
      lock.withLock {
        skipped.append(.init(path: found.path, reason: error.problem))
        progress.images += 1
        progress.skipped += 1
      }
      return
    }
    let (offset, checksum) = try image.bytes.withUnsafeBytes { (try writer.append($0), XXHash64.hash($0)) }
    let record = ImageRecord(
      name: found.path, label: -1, height: Int32(image.height), width: Int32(image.width),
      checksum: checksum, offset: offset, size: image.bytes.count)
    lock.withLock {
      records.append(record)
      if image.isResized { resized += 1 }
      progress.images += 1
      progress.bytes += record.size
    }
  }
}

/// The bytes of a file; throws with the reason when it cannot be read.
func readWholeFile(_ path: String) throws -> [UInt8] {
  func failure(_ code: Int32 = errno) -> DatasetError {
    DatasetError(path, "cannot be read: \(String(cString: strerror(code)))")
  }
  let descriptor = open(path, O_RDONLY | O_CLOEXEC)
  guard descriptor >= 0 else { throw failure() }
  defer { close(descriptor) }
  var information = stat()
  guard fstat(descriptor, &information) == 0 else { throw failure() }
  let size = Int(information.st_size)
  return try [UInt8](unsafeUninitializedCapacity: size) { buffer, filled in
    do {
      let memory = UnsafeMutableRawBufferPointer(rebasing: UnsafeMutableRawBufferPointer(buffer)[..<size])
      filled = try FullRead.fill(memory, from: descriptor, at: 0)
    } catch let error as SystemFailure {
      throw failure(error.code)
    }
  }
}

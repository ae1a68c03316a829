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
  private(set) var findings = Findings()
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
    group.start("peco-prepare-read") { [self] in
      defer { queue.close() }
      try source.forEach(subset: settings.subset, isCancelled: { group.hasFailed }) { [self] found in
        guard try note(found) else { return true }
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

  /// Notes what needs no decoding; tells whether the thing has to be decoded.
  private func note(_ found: ImageSource.Found) throws -> Bool {
    switch found.content {
    case .file, .bytes: return true
    case .unusable(let reason): try skip(found, reason, isImage: true)
    case .brokenArchive(let folder):
      lock.withLock { findings.brokenArchives.append(folder) }
      try skip(found, "is named like an archive, but is none that can be read", isImage: false)
    case .unreadable(let reason): try skip(found, reason, isImage: false)
    case .link(let target):
      lock.withLock { findings.links.append(.init(name: found.name, order: found.order, target: target)) }
    case .other: lock.withLock { findings.addOther(found.name) }
    case .folder: lock.withLock { _ = findings.folders.insert(found.name) }
    }
    return false
  }

  private func look(at found: ImageSource.Found, _ codec: ImageCodec) throws {
    let image: ImageCodec.Checked
    do {
      let bytes: [UInt8]
      switch found.content {
      case .file(let path): bytes = try readFile(path)
      case .bytes(let content): bytes = content
      default: return
      }
      image = try codec.check(
        bytes, found.name.text, shortSide: settings.shortSide, quality: settings.quality,
        turned: settings.exifOrientation == .apply)
    } catch let error as DatasetError {
      return try skip(found, error.problem, isImage: true)
    }
    let (offset, checksum) = try image.bytes.withUnsafeBytes { (try writer.append($0), XXHash64.hash($0)) }
    let record = ImageRecord(
      name: "", label: -1, height: Int32(image.height), width: Int32(image.width), checksum: checksum,
      offset: offset, size: image.bytes.count, orientation: image.orientation)
    lock.withLock {
      findings.images.append(.init(name: found.name, order: found.order, outcome: .record(record)))
      if image.isResized { resized += 1 }
      progress.images += 1
      progress.bytes += record.size
    }
  }

  private func skip(_ found: ImageSource.Found, _ reason: String, isImage: Bool) throws {
    // Where it is strict the first bad image ends the job, rather than the hour's work after it.
    if settings.isStrict { throw settings.strictError(found.name.text, reason) }
    lock.withLock {
      findings.images.append(
        .init(name: found.name, order: found.order, outcome: isImage ? .skipped(reason) : .unreadable(reason))
      )
      progress.images += 1
      progress.skipped += 1
    }
  }
}

import CFileIO
import Datasets
import Foundation
import Imaging
import Storage

/// What the index of a dataset says about one image.
struct ImageRecord {
  var name: String
  var label: Int32
  var height: Int32
  var width: Int32
  var checksum: UInt64
  /// Where its bytes lie among those appended, and how many they are.
  var offset: UInt64
  var size: Int
  /// How it has to be turned to be seen.
  var orientation = ImageOrientation.upright
}

/// Writes a dataset file whose total size is only known at the end.
///
/// The images' bytes gather in a file beside the target, written by any number of threads at once. That file is
/// unlinked as soon as it is open: its space is free again whatever becomes of the process. `finish` copies the
/// images in their final order into the HDF5 file, which appears under its name complete or not at all.
///
/// Unchecked: a lock guards where the file ends; `pwrite` moves no file position.
final class DatasetWriter: @unchecked Sendable {
  private let path: String
  private let descriptor: Int32
  private let lock = NSLock()
  private var end: UInt64 = 0

  /// Creates the payload file beside `path`.
  ///
  /// - Parameter inputs: What the images come from.
  init(path: String, madeFrom inputs: [String] = []) throws {
    try FileSystem.requireOutput(path, madeFrom: inputs)
    self.path = path
    let staging = "\(FileSystem.folder(of: path))/.\(FileSystem.name(of: path)).payload-\(getpid())"
    descriptor = open(staging, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
    guard descriptor >= 0 else { throw Self.failure(path, "write beside it") }
    unlink(staging)
  }

  deinit { close(descriptor) }

  /// Appends an image's bytes; returns their offset. Safe from any thread.
  func append(_ bytes: UnsafeRawBufferPointer) throws -> UInt64 {
    let offset = lock.withLock {
      defer { end += UInt64(bytes.count) }
      return end
    }
    do {
      try FullWrite.write(bytes, to: descriptor, at: Int(offset))
    } catch let error as SystemFailure {
      throw Self.failure(path, "write", code: error.code)
    }
    return offset
  }

  /// Writes the dataset: the records' images in their order.
  ///
  /// - Parameters:
  ///   - attributes: Sets further attributes of the file.
  ///   - onSlab: Called now and then with the share done; may throw to give up.
  /// - Returns: The dataset's fingerprint.
  func finish(
    _ records: [ImageRecord], classes: [String], attributes: (HDF5File) throws -> Void,
    onSlab: (Double) throws -> Void
  ) throws -> UInt64 {
    var offsets: [UInt64] = [0]
    offsets.reserveCapacity(records.count + 1)
    for record in records { offsets.append(offsets[offsets.count - 1] + UInt64(record.size)) }
    let total = Int(offsets[records.count])
    let checksums = records.map(\.checksum)
    let labels = records.map(\.label)
    let orientations = records.map(\.orientation.rawValue)
    let areTurned = records.contains { $0.orientation != .upright }
    let fingerprint = ImageDataset.fingerprint(
      checksums: checksums, labels: labels, orientations: areTurned ? orientations : nil)
    try HDF5File.atomicallyWrite(to: path) { file in
      try file.setAttribute("format", DatasetFormat.name)
      try file.setAttribute(
        "format_version", areTurned ? DatasetFormat.versionWithOrientation : DatasetFormat.version)
      try file.setAttribute("images", records.count)
      try file.setAttribute("classes", classes.count)
      try file.setAttribute("fingerprint", fingerprint)
      try attributes(file)
      try file.write(offsets, shape: [offsets.count], to: DatasetFormat.offsets)
      try file.write(records.map(\.height), shape: [records.count], to: DatasetFormat.heights)
      try file.write(records.map(\.width), shape: [records.count], to: DatasetFormat.widths)
      try file.write(checksums, shape: [records.count], to: DatasetFormat.checksums)
      if areTurned {
        try file.write(orientations, shape: [records.count], to: DatasetFormat.orientations)
      }
      try file.write(labels, shape: [records.count], to: DatasetFormat.labels)
      try file.write(strings: classes, to: DatasetFormat.classes)
      try file.write(strings: records.map(\.name), to: DatasetFormat.names)
      try file.createDataset(DatasetFormat.bytes, shape: [total], of: UInt8.self)
      try copyPayload(of: records, total: total, to: file, onSlab)
    }
    return fingerprint
  }

  /// Copies the payload in the order of the records, a few megabytes at a time.
  private func copyPayload(
    of records: [ImageRecord], total: Int, to file: HDF5File, _ onSlab: (Double) throws -> Void
  ) throws {
    let capacity = max(8 << 20, records.map(\.size).max() ?? 0)
    let slab = UnsafeMutableBufferPointer<UInt8>.allocate(capacity: capacity)
    defer { slab.deallocate() }
    var done = 0
    var next = 0
    while next < records.count {
      var filled = 0
      while next < records.count, filled + records[next].size <= capacity {
        // Neighbors that were appended one after another are read in one go.
        let start = records[next].offset
        var length = 0
        while next < records.count, records[next].offset == start + UInt64(length),
          filled + length + records[next].size <= capacity
        {
          length += records[next].size
          next += 1
        }
        try readStaged(
          UnsafeMutableRawBufferPointer(
            rebasing: UnsafeMutableRawBufferPointer(slab)[filled..<filled + length]), at: start)
        release(start, length)
        filled += length
      }
      try file.writeSlab(
        UnsafeBufferPointer(rebasing: UnsafeBufferPointer(slab)[..<filled]), to: DatasetFormat.bytes,
        row: done)
      done += filled
      try onSlab(Double(done) / Double(max(total, 1)))
    }
  }

  private func readStaged(_ memory: UnsafeMutableRawBufferPointer, at offset: UInt64) throws {
    let action = "read back what was written beside it"
    do {
      let count = try FullRead.fill(memory, from: descriptor, at: Int(offset))
      guard count == memory.count else { throw Self.failure(path, action, code: EIO) }
    } catch let error as SystemFailure {
      throw Self.failure(path, action, code: error.code)
    }
  }

  /// Gives the disk space of what has been copied back, so that the payload is not on the disk twice.
  private func release(_ offset: UInt64, _ length: Int) {
    // Not every file system can; then the space is free again at the end.
    _ = peco_punch_hole(descriptor, Int64(offset), Int64(length))
  }

  private static func failure(_ path: String, _ action: String, code: Int32 = errno) -> DatasetError {
    let reason = String(cString: strerror(code))
    let full = code == ENOSPC || code == EDQUOT || code == EFBIG
    return DatasetError(
      path, "cannot \(action): \(reason)",
      advice: full ? "free some space or choose another disk" : "check the folder's permissions")
  }
}

import CFileIO
import CHDF5

/// Datasets in chunks with checksums, which HDF5 looks at whenever a chunk is read.
extension HDF5File {
  /// Chunks of at most about 1 MiB: whole trailing dimensions, an even cut of the first that does not fit.
  static func chunk(for shape: [Int], elementSize: Int) -> [Int] {
    var budget = max(1, (1 << 20) / elementSize)
    var chunk = [Int](repeating: 1, count: shape.count)
    for axis in shape.indices.reversed() {
      let pieces = (shape[axis] + budget - 1) / budget
      chunk[axis] = max(1, pieces <= 1 ? shape[axis] : (shape[axis] + pieces - 1) / pieces)
      if pieces > 1 { break }
      budget = max(1, budget / chunk[axis])
    }
    return chunk
  }

  /// Writes the chunks of a dataset with their checksums, past HDF5's own filter, which sums word by word.
  func writeChunks(
    _ bytes: UnsafeRawBufferPointer, _ type: HDF5ElementType, _ shape: [Int], _ dataset: hid_t, _ name: String
  ) throws {
    let elementSize = H5Tget_size(type.nativeType)
    let chunk = Self.chunk(for: shape, elementSize: elementSize)
    // Whole trailing dimensions, one entry of the leading ones, and a cut of the one between: a chunk lies in one
    // piece.
    let cut = shape.indices.last { chunk[$0] != shape[$0] } ?? 0
    let entryBytes = shape[(cut + 1)...].reduce(elementSize, *)
    let chunkBytes = chunk[cut] * entryBytes
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: chunkBytes + 4, alignment: 64)
    defer { buffer.deallocate() }
    let leading = shape[..<cut].reduce(1, *)
    for outer in 0..<leading {
      for start in stride(from: 0, to: shape[cut], by: chunk[cut]) {
        let count = min(chunk[cut], shape[cut] - start) * entryBytes
        let from = (outer * shape[cut] + start) * entryBytes
        UnsafeMutableRawBufferPointer(rebasing: buffer[..<count]).copyMemory(
          from: UnsafeRawBufferPointer(rebasing: bytes[from..<(from + count)]))
        UnsafeMutableRawBufferPointer(rebasing: buffer[count..<chunkBytes])
          .initializeMemory(as: UInt8.self, repeating: 0)
        guard let base = buffer.baseAddress else { return }
        buffer.storeBytes(
          of: peco_fletcher32(base, chunkBytes).littleEndian, toByteOffset: chunkBytes, as: UInt32.self)
        var offset = [hsize_t](repeating: 0, count: shape.count)
        offset[cut] = hsize_t(start)
        var rest = outer
        for dimension in (0..<cut).reversed() {
          offset[dimension] = hsize_t(rest % shape[dimension])
          rest /= shape[dimension]
        }
        try check(H5Dwrite_chunk(dataset, 0, 0, offset, chunkBytes + 4, base), name, "write the dataset")
      }
    }
  }
}

import CKernels
@_spi(TensorMemory) import Tensors

/// The index of the nearest entry of a codebook for each of some vectors; the lowest where several are as near. Forward
/// only.
///
/// - Parameters:
///   - z: [..., length]
///   - codebook: [entries, length]
public func nearestEntries(of z: Tensor, in codebook: Tensor) -> [Int32] {
  let (entries, length) = (codebook.shape[0], codebook.shape[1])
  precondition(z.shape.last == length, "vectors of \(length) are expected, not shape \(z.shape)")
  let count = z.count / length
  let norms = Tensor(uninitialized: [entries])
  ThreadPool.current.forEachRange(of: entries, grain: max(1, 1 << 15 / length)) { range in
    for entry in range {
      norms.pointer[entry] = Float(peco_sum_of_squares(codebook.pointer + entry * length, length))
    }
  }
  var indices = [Int32](repeating: -1, count: count)
  // ‖z − e‖² less the constant ‖z‖² is ‖e‖² − 2z·e: tiles of that which stay in cache, least ones taken at once.
  let (tileRows, tileEntries) = (64, 1024)
  indices.withUnsafeMutableBufferPointer { indices in
    ThreadPool.current.forEach((count + tileRows - 1) / tileRows) { [indices] tile in
      let rows = tile * tileRows..<min((tile + 1) * tileRows, count)
      let scores = Tensor(uninitialized: [tileRows, tileEntries])
      var least = [Float](repeating: .infinity, count: tileRows)
      for firstEntry in stride(from: 0, to: entries, by: tileEntries) {
        let width = min(tileEntries, entries - firstEntry)
        MatrixMultiply.serial(
          rows.count, width, length, MatrixView(z.pointer + rows.lowerBound * length, stride: length),
          MatrixView(codebook.pointer + firstEntry * length, stride: length, transposed: true),
          into: MatrixView(scores.pointer, stride: tileEntries), alpha: -2)
        for (place, row) in rows.enumerated() {
          guard let index = indices.baseAddress?.advanced(by: row) else { continue }
          peco_least_biased(
            scores.pointer + place * tileEntries, norms.pointer + firstEntry, width, Int32(firstEntry),
            &least[place], index)
        }
      }
    }
  }
  return indices
}

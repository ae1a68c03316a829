import CKernels
@_spi(TensorMemory) import Tensors

/// The index of the greatest element of each row (the last axis), the first of several.
public func argmax(_ x: Tensor) -> [Int32] {
  let width = x.shape.last ?? 1
  let rows = x.count / max(width, 1)
  return [Int32](unsafeUninitializedCapacity: rows) { indices, count in
    let base = indices.baseAddress
    ThreadPool.current.forEachRange(of: rows, grain: rowGrain(width)) { range in
      guard let base else { return }
      let first = range.lowerBound
      peco_row_maximum(base + first, x.pointer + first * width, range.count, width)
    }
    count = rows
  }
}

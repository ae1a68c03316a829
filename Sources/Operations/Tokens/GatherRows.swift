import CKernels
@_spi(TensorMemory) import Tensors

/// The rows of `x` (its last axis) at flat row numbers `indices`, each at most once: [indices.count, width].
public func gatherRows(_ x: Tensor, _ indices: [Int]) -> Tensor {
  let width = x.shape.last ?? 1
  let rows = x.count / max(width, 1)
  var isTaken = [Bool](repeating: false, count: rows)
  for index in indices {
    precondition(index >= 0 && index < rows && !isTaken[index], "row \(index) of \(rows), or twice")
    isTaken[index] = true
  }
  let y = Tensor(uninitialized: [indices.count, width], dtype: x.dtype)
  let bytes = width * x.dtype.size
  ThreadPool.current.forEachRange(of: indices.count, grain: rowGrain(width)) { range in
    for i in range {
      (y.memory + i * bytes).copyMemory(from: x.memory + indices[i] * bytes, byteCount: bytes)
    }
  }
  let target = x.gradientTarget
  return Tape.record(y, from: [x]) { dy in
    let dx = Tensor(target.shape, dtype: dy.dtype)
    ThreadPool.current.forEachRange(of: indices.count, grain: rowGrain(width)) { range in
      for i in range {
        (dx.memory + indices[i] * bytes).copyMemory(from: dy.memory + i * bytes, byteCount: bytes)
      }
    }
    target.add(dx)
  }
}

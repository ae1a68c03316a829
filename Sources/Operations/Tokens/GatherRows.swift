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
  let y = Tensor(uninitialized: [indices.count, width])
  ThreadPool.current.forEachRange(of: indices.count, grain: rowGrain(width)) { range in
    for i in range { (y.pointer + i * width).update(from: x.pointer + indices[i] * width, count: width) }
  }
  let target = x.gradientTarget
  return Tape.record(y, from: [x]) { dy in
    let dx = Tensor(target.shape)
    ThreadPool.current.forEachRange(of: indices.count, grain: rowGrain(width)) { range in
      for i in range { (dx.pointer + indices[i] * width).update(from: dy.pointer + i * width, count: width) }
    }
    target.add(dx)
  }
}

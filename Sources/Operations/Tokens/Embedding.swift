import CKernels
@_spi(TensorMemory) import Tensors

/// Rows of a table, as PyTorch's `embedding`: [indices.count, width].
///
/// - Parameters:
///   - indices: The row of each vector, from 0 to below `count`.
///   - weight: The table, [count, width].
///   - x: Any tensor of the same tape, since indices are on none; nil for a look-up without gradient.
public func embedding(_ indices: [Int32], _ weight: Parameter, alongside x: Tensor? = nil) -> Tensor {
  let (count, width) = (weight.shape[0], weight.shape[1])
  precondition(indices.allSatisfy { $0 >= 0 && $0 < count }, "an index is not among \(count) rows")
  let y = Tensor(uninitialized: [indices.count, width])
  ThreadPool.current.forEachRange(of: indices.count, grain: rowGrain(width)) { range in
    for i in range {
      (y.pointer + i * width).update(from: weight.value.pointer + Int(indices[i]) * width, count: width)
    }
  }
  return Tape.record(y, from: x.map { [$0] } ?? [], parameters: [weight]) { dy in
    guard let gradient = weight.gradient else { return }
    // Rows may repeat: threads share the columns, so that each sum keeps the order of the indices.
    ThreadPool.current.forEachRange(of: width, grain: rowGrain(indices.count)) { columns in
      for i in indices.indices {
        peco_add_in_place(
          gradient.pointer + Int(indices[i]) * width + columns.lowerBound,
          dy.pointer + i * width + columns.lowerBound, columns.count)
      }
    }
  }
}

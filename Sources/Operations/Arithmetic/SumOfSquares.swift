import CKernels
@_spi(TensorMemory) import Tensors

/// Elements summed at a time. Fixed, so that the sum does not depend on the number of threads.
private let block = 1 << 16

/// Σ x², in double precision and the same on any number of threads. Not finite if an element is not.
public func sumOfSquares(_ x: Tensor) -> Double {
  let blocks = (x.count + block - 1) / block
  let partials = [Double](unsafeUninitializedCapacity: blocks) { partials, count in
    let partials = partials
    ThreadPool.current.forEach(blocks) { index in
      let start = index * block
      partials[index] = peco_sum_of_squares(x.pointer + start, min(block, x.count - start))
    }
    count = blocks
  }
  return partials.reduce(0, +)
}

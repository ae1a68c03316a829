@_spi(TensorMemory) import Tensors

/// The sum of `part` over `0..<count` in blocks that do not depend on the number of threads.
func blockwiseSum(of count: Int, _ part: (Range<Int>) -> Double) -> Double {
  let block = 1 << 16
  let partial = DoubleSum(count: (count + block - 1) / block)
  ThreadPool.current.forEach(partial.count) { index in
    partial.pointer[index] = part(index * block..<min((index + 1) * block, count))
  }
  return (0..<partial.count).reduce(0) { $0 + partial.pointer[$1] }
}

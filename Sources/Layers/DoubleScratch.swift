import Tensors

/// Doubles from the memory pool, zero at first, for sums that need the digits.
final class DoubleScratch {
  let pointer: UnsafeMutablePointer<Double>
  let count: Int
  private let memory: Tensor

  init(_ count: Int) {
    self.count = count
    memory = Tensor(uninitialized: [2 * count])
    pointer = UnsafeMutableRawPointer(memory.pointer).bindMemory(to: Double.self, capacity: count)
    pointer.initialize(repeating: 0, count: count)
  }
}

/// The sum of `part` over `0..<count` in blocks that do not depend on the number of threads.
func blockwiseSum(of count: Int, _ part: (Range<Int>) -> Double) -> Double {
  let block = 1 << 16
  let partial = DoubleScratch((count + block - 1) / block)
  ThreadPool.shared.forEach(partial.count) { index in
    partial.pointer[index] = part(index * block..<min((index + 1) * block, count))
  }
  return (0..<partial.count).reduce(0) { $0 + partial.pointer[$1] }
}

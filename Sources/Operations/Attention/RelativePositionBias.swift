import CKernels
@_spi(TensorMemory) import Tensors

/// The bias of every pair of tokens from a table [offsets, heads] (BEiT; after Swin Transformer): [heads, tokens, tokens].
///
/// - Parameters:
///   - index: Row of the table for each pair of tokens, [tokens, tokens].
///   - x: Any tensor of the tape that is to record this.
public func relativePositionBias(
  _ table: Parameter, index: [Int32], tokens: Int, alongside x: Tensor
) -> Tensor {
  precondition(index.count == tokens * tokens, "\(index.count) offsets of \(tokens) tokens")
  let heads = table.shape[1]
  let pairs = index.count
  let bias = Tensor(uninitialized: [heads, tokens, tokens])
  let values = table.value
  index.withUnsafeBufferPointer { index in
    ThreadPool.current.forEachRange(of: heads, grain: rowGrain(pairs)) { range in
      for head in range {
        let plane = bias.pointer + head * pairs
        for pair in 0..<pairs { plane[pair] = values.pointer[Int(index[pair]) * heads + head] }
      }
    }
  }
  return Tape.record(bias, from: [x], parameters: [table]) { gradient in
    guard let sums = table.gradient else { return }
    index.withUnsafeBufferPointer { index in
      ThreadPool.current.forEachRange(of: heads, grain: rowGrain(pairs)) { range in
        for head in range {
          let plane = gradient.pointer + head * pairs
          for pair in 0..<pairs { sums.pointer[Int(index[pair]) * heads + head] += plane[pair] }
        }
      }
    }
  }
}

@_spi(TensorMemory) import Tensors

/// The entries at `indices` of a codebook [entries, length]: [indices.count, length]. Forward only.
public func codebookEntries(_ indices: [Int32], of codebook: Tensor) -> Tensor {
  let (entries, length) = (codebook.shape[0], codebook.shape[1])
  let result = Tensor(uninitialized: [indices.count, length])
  ThreadPool.current.forEachRange(of: indices.count, grain: max(1, 1 << 15 / length)) { range in
    for i in range {
      let entry = Int(indices[i])
      precondition(entry >= 0 && entry < entries, "there is no entry \(entry) in a codebook of \(entries)")
      (result.pointer + i * length).update(from: codebook.pointer + entry * length, count: length)
    }
  }
  return result
}

/// W[:, indices] + b of a weight [length, entries] and a bias [length]: what a 1×1 convolution makes of single entries,
/// [indices.count, length]. Forward only.
public func weightColumns(_ indices: [Int32], of weight: Tensor, bias: Tensor) -> Tensor {
  let (length, entries) = (weight.shape[0], weight.shape[1])
  let result = Tensor(uninitialized: [indices.count, length])
  ThreadPool.current.forEachRange(of: indices.count, grain: 64) { range in
    for i in range {
      let entry = Int(indices[i])
      precondition(entry >= 0 && entry < entries, "there is no entry \(entry) in a vocabulary of \(entries)")
      for c in 0..<length {
        result.pointer[i * length + c] = weight.pointer[c * entries + entry] + bias.pointer[c]
      }
    }
  }
  return result
}

import Communication
import Tensors

/// Collective operations on tensors, in place and without copies.
extension Communicator {
  /// Sums, or reduces otherwise, the elements of a tensor over all ranks.
  ///
  /// - Parameters:
  ///   - reduction: Sum, or what else.
  ///   - tensor: Its elements are written over.
  ///   - range: Which of them; nil for all.
  public func allReduce(_ reduction: Reduction, _ tensor: Tensor, in range: Range<Int>? = nil) throws {
    try tensor.withUnsafeMutableElements { try allReduce(reduction, $0, in: range) }
  }

  /// Sums some elements of a tensor over all ranks, rounded to bfloat16 on their way.
  func allReduce(by sum: BFloat16Sum, _ tensor: Tensor, in range: Range<Int>) throws {
    try tensor.withUnsafeMutableElements { elements in
      guard let base = elements.baseAddress else { return }
      try sum.allReduce(base + range.lowerBound, count: range.count, over: self)
    }
  }

  /// Reduces sums of double precision over all ranks.
  ///
  /// - Parameters:
  ///   - reduction: Sum, or what else.
  ///   - sums: They are written over.
  ///   - range: Which of them; nil for all.
  public func allReduce(_ reduction: Reduction, _ sums: DoubleSum, in range: Range<Int>? = nil) throws {
    try sums.withUnsafeMutableElements { try allReduce(reduction, $0, in: range) }
  }

  /// Copies the elements of a tensor from rank `root` to all others.
  public func broadcast(_ tensor: Tensor, from root: Int = 0) throws {
    try tensor.withUnsafeMutableElements { elements in
      guard let base = elements.baseAddress else { return }
      try broadcast(base, count: elements.count, from: root)
    }
  }

  /// Copies the values of parameters from rank `root` to all others.
  public func broadcast(_ parameters: [Parameter], from root: Int = 0) throws {
    for parameter in parameters { try broadcast(parameter.value, from: root) }
  }

  /// Fills parameters on every rank with what rank 0 reads into them; where it cannot, all throw the same error.
  /// Collective.
  package func readOnRoot(into parameters: [Parameter], _ read: () throws -> Void) throws {
    try agree { if isRoot { try read() } }
    try broadcast(parameters)
  }

  /// Writes the elements of all ranks' tensors, all of one size, into `all` in rank order.
  public func allGather(_ tensor: Tensor, into all: Tensor) throws {
    precondition(all.count == size * tensor.count, "\(size) tensors \(tensor.shape) do not fill \(all.shape)")
    try tensor.withUnsafeElements { mine in
      try all.withUnsafeMutableElements { all in
        guard let mine = mine.baseAddress, let base = all.baseAddress else { return }
        try allGather(mine, count: tensor.count, into: base)
      }
    }
  }

  private func allReduce<Scalar: ReducibleScalar>(
    _ reduction: Reduction, _ values: UnsafeMutableBufferPointer<Scalar>, in range: Range<Int>?
  ) throws {
    let range = range ?? values.indices
    precondition(range.lowerBound >= 0 && range.upperBound <= values.count, "\(range) of \(values.count)")
    guard let base = values.baseAddress else { return }
    try allReduce(reduction, base + range.lowerBound, count: range.count)
  }
}

import Operations
import Tensors

/// A table of vectors, looked up by index.
public struct Embedding {
  /// [count, width]
  public let weight: Parameter

  /// Makes `weight` in `scope`.
  public init(
    _ count: Int, _ width: Int, in scope: ParameterScope, initializer: Initializer = .normal(1)
  ) {
    weight = scope.parameter("weight", [count, width], initializer, role: .weight)
  }

  /// The rows at `indices`: [indices.count, width].
  ///
  /// `x` is any tensor of the same tape, since indices are on none; nil for a look-up without gradient.
  public func callAsFunction(_ indices: [Int32], alongside x: Tensor? = nil) -> Tensor {
    embedding(indices, weight, alongside: x)
  }
}

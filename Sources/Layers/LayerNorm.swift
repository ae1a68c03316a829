import Operations
import Tensors

/// Layer normalization over the last axis (Ba, Kiros and Hinton, 2016).
public struct LayerNorm {
  /// [width]
  public let weight: Parameter
  /// [width]
  public let bias: Parameter
  /// Added to the variance.
  public let epsilon: Float

  /// Makes `weight` (ones) and `bias` (zeros) in `scope`.
  public init(_ width: Int, epsilon: Float = 1e-6, in scope: ParameterScope) {
    weight = scope.parameter("weight", [width], .ones, role: .norm)
    bias = scope.parameter("bias", [width], .zeros, role: .norm)
    self.epsilon = epsilon
  }

  /// The parameters in the order in which they were made.
  public var parameters: [Parameter] { [weight, bias] }

  /// What operations that normalize on their way take.
  public var affine: LayerNormParameters {
    LayerNormParameters(weight: weight, bias: bias, epsilon: epsilon)
  }

  /// Normalizes each row; with `samples`, only those entries of the first axis (ascending), and returns them
  /// alone.
  ///
  /// [B, ..., width] → [B or samples.count, ..., width]
  public func callAsFunction(_ x: Tensor, samples: [Int]? = nil) -> Tensor {
    layerNorm(x, affine, samples: samples)
  }
}

import Operations
import Tensors

/// An affine map of the last axis: y = x Wᵀ + b, with W of shape [outputs, inputs].
public struct Linear {
  /// [outputs, inputs]
  public let weight: Parameter
  /// [outputs]; nil without.
  public let bias: Parameter?

  /// Makes `weight` and, unless `bias` is false, `bias` (zero at first) in `scope`.
  public init(
    _ inputs: Int, _ outputs: Int, bias: Bool = true, in scope: ParameterScope,
    initializer: Initializer = .truncatedNormal(0.02)
  ) {
    weight = scope.parameter("weight", [outputs, inputs], initializer, role: .weight)
    self.bias = bias ? scope.parameter("bias", [outputs], .zeros, role: .bias) : nil
  }

  /// The parameters in the order in which they were made.
  public var parameters: [Parameter] { [weight] + (bias.map { [$0] } ?? []) }

  /// [..., inputs] → [..., outputs]
  public func callAsFunction(_ x: Tensor) -> Tensor {
    linear(x, weight, biases: bias.map { [BiasSlice($0)] } ?? [])
  }

  /// The product alone, LN(x) Wᵀ without the bias, for some entries of the first axis (ascending; nil for all):
  /// [B, ..., inputs] → [B or samples.count, ..., outputs], in the context's precision. LN(x) is computed again for backward.
  public func product(_ x: Tensor, normalizedBy norm: LayerNorm, samples: [Int]? = nil) -> Tensor {
    linear(x, normalizedBy: norm.affine, samples: samples, weight, biases: [], isNarrow: true)
  }

  /// The end of a residual branch in one operation, x + factor · gamma ∘ self(h), or with `activation`, the bias
  /// inside, x + factor · gamma ∘ self(GELU(h + activation)): [B, ..., outputs].
  ///
  /// Parameters as `residual(_:_:weight:bias:activation:gamma:samples:factor:)` has them.
  public func residual(
    _ x: Tensor, _ h: Tensor, activation: Parameter? = nil, gamma: Parameter? = nil, samples: [Int]? = nil,
    factor: Float = 1
  ) -> Tensor {
    Operations.residual(
      x, h, weight: weight, bias: bias, activation: activation, gamma: gamma, samples: samples, factor: factor
    )
  }
}

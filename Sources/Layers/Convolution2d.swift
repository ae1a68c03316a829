import ImageOperations
import Operations
import Tensors

/// Two-dimensional convolution with learned weights [out, in, kernel, kernel] and bias [out].
public struct Convolution2d {
  /// Weights, [out, in, kernel, kernel].
  public let weight: Parameter
  /// Bias, [out].
  public let bias: Parameter?
  /// Step from one output pixel to the next, in input pixels.
  public let stride: Int
  /// Zeros around the input.
  public let padding: Padding

  /// A convolution from `inChannels` to `outChannels`.
  ///
  /// `initializer` says how the weights start; by default weights and bias as PyTorch's `Conv2d`, uniform within
  /// 1/√(fan-in). With an initializer given, the bias starts at zero.
  public init(
    _ inChannels: Int, _ outChannels: Int, kernel: Int, stride: Int = 1, padding: Padding = 0,
    bias: Bool = true, in scope: ParameterScope, initializer: Initializer? = nil
  ) {
    let limit = 1 / Float(inChannels * kernel * kernel).squareRoot()
    weight = scope.parameter(
      "weight", [outChannels, inChannels, kernel, kernel], initializer ?? .uniform(limit), role: .weight)
    let start: Initializer = initializer == nil ? .uniform(limit) : .zeros
    self.bias = bias ? scope.parameter("bias", [outChannels], start, role: .bias) : nil
    self.stride = stride
    self.padding = padding
  }

  private init(holding other: Convolution2d) {
    weight = other.weight.held
    bias = other.bias?.held
    stride = other.stride
    padding = other.padding
  }

  /// The same convolution, its weights held: gradients flow through to the input and not into the weights.
  public var held: Convolution2d { Convolution2d(holding: self) }

  /// The gradient that the weight gets where the output's is `dy` and the input is `x`; added to nothing.
  public func weightGradient(_ dy: Tensor, _ x: Tensor) -> Tensor {
    convolution2dWeightGradient(dy, x, weightShape: weight.shape, stride: stride, padding: padding)
  }

  /// [batch, height, width, in] → [batch, (height + padding − kernel)/stride + 1, …, out], in float32.
  public func callAsFunction(_ x: Tensor) -> Tensor {
    convolution2d(x, weight: weight, bias: bias, stride: stride, padding: padding)
  }

  /// The same in the context's precision, for what takes it: group normalization, sums, other convolutions.
  ///
  /// - Parameters:
  ///   - x: [batch, height, width, in]
  ///   - other: Added to the result, of its shape; nil for nothing.
  public func narrow(_ x: Tensor, addedTo other: Tensor? = nil) -> Tensor {
    convolution2d(
      x, weight: weight, bias: bias, stride: stride, padding: padding, isNarrow: true, addedTo: other)
  }

  /// The convolution followed by ReLU, in one pass.
  public func withReLU(_ x: Tensor) -> Tensor {
    convolution2d(x, weight: weight, bias: bias, stride: stride, padding: padding, relu: true)
  }
}

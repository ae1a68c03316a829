import ImageOperations
import Tensors

/// Transposed convolution with learned weights [in, out, kernel, kernel] and bias [out], as PyTorch's
/// `ConvTranspose2d`: the gradient of a convolution from out to in, read as a layer.
public struct ConvolutionTranspose2d {
  /// Weights, [in, out, kernel, kernel].
  public let weight: Parameter
  /// Bias, [out].
  public let bias: Parameter?
  /// Step from one input pixel to the next, in output pixels.
  public let stride: Int
  /// Pixels cut off from each side of the output.
  public let padding: Padding

  /// A transposed convolution from `inChannels` to `outChannels`, initialized as PyTorch does.
  public init(
    _ inChannels: Int, _ outChannels: Int, kernel: Int, stride: Int = 1, padding: Padding = 0,
    bias: Bool = true, in scope: ParameterScope, initializer: Initializer? = nil
  ) {
    let limit = 1 / Float(outChannels * kernel * kernel).squareRoot()
    weight = scope.parameter(
      "weight", [inChannels, outChannels, kernel, kernel], initializer ?? .uniform(limit), role: .weight)
    let start: Initializer = initializer == nil ? .uniform(limit) : .zeros
    self.bias = bias ? scope.parameter("bias", [outChannels], start, role: .bias) : nil
    self.stride = stride
    self.padding = padding
  }

  /// [batch, height, width, in] → [batch, (height − 1)·stride + kernel − padding, …, out].
  public func callAsFunction(_ x: Tensor) -> Tensor {
    convolutionTranspose2d(x, weight: weight, bias: bias, stride: stride, padding: padding)
  }
}

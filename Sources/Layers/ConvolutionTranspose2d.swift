import CKernels
@_spi(TensorMemory) import Tensors

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
      "weight", [inChannels, outChannels, kernel, kernel], initializer ?? .uniform(limit))
    self.bias =
      bias ? scope.parameter("bias", [outChannels], initializer == nil ? .uniform(limit) : .zeros) : nil
    self.stride = stride
    self.padding = padding
  }

  /// [batch, height, width, in] → [batch, (height − 1)·stride + kernel − padding, …, out].
  public func callAsFunction(_ x: Tensor) -> Tensor {
    let (weight, bias) = (weight, bias)
    let height = (x.shape[1] - 1) * stride + weight.shape[2] - padding.top - padding.bottom
    let width = (x.shape[2] - 1) * stride + weight.shape[3] - padding.left - padding.right
    let kernel = ConvolutionKernel(
      input: [x.shape[0], height, width, weight.shape[1]], weight: weight.shape, stride: stride,
      padding: padding)
    let y = kernel.backwardData(x, weight: weight.value)
    if let bias { addToChannels(of: y, bias.value) }
    return Tape.record(y, from: [x], parameters: [weight] + (bias.map { [$0] } ?? [])) { dy in
      if let weightGradient = weight.gradient {
        kernel.backwardWeights(x, dy, weightGradient: weightGradient, biasGradient: nil)
      }
      if let biasGradient = bias?.gradient { addChannelSums(of: dy, into: biasGradient) }
      x.addGradient(kernel.forward(dy, weight: weight.value, bias: nil))
    }
  }
}

private func addToChannels(of y: Tensor, _ term: Tensor) {
  let channels = term.count
  ThreadPool.current.forEachRange(of: y.count / channels, grain: max(1, 1 << 15 / channels)) { rows in
    peco_add_to_channels(y.pointer + rows.lowerBound * channels, term.pointer, rows.count, channels)
  }
}

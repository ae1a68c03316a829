import CKernels
@_spi(TensorMemory) import Tensors

/// The transposed convolution of images with a weight and a bias, as PyTorch's `conv_transpose2d`:
/// [batch, (height − 1)·stride + kernel − padding, …, out].
///
/// - Parameters:
///   - x: [batch, height, width, in] or the same in blocks of channels.
///   - weight: [in, out, kernel height, kernel width]
///   - bias: [out]; nil for none.
///   - stride: Step from one input pixel to the next, in output pixels.
///   - padding: Pixels cut off from each side of the output.
public func convolutionTranspose2d(
  _ x: Tensor, weight: Parameter, bias: Parameter?, stride: Int = 1, padding: Padding = 0
) -> Tensor {
  let height = (x.shape[1] - 1) * stride + weight.shape[2] - padding.top - padding.bottom
  let width = (x.shape[2] - 1) * stride + weight.shape[3] - padding.left - padding.right
  let kernel = ConvolutionKernel(
    input: [x.shape[0], height, width, weight.shape[1]], weight: weight.shape, stride: stride,
    padding: padding)
  let images = x.converted(to: kernel.dtype)
  let y = kernel.backwardData(images, weight: weight.value, result: .float32)
  if let bias { addToChannels(of: y, bias.value) }
  let target = x.gradientTarget
  return Tape.record(y, from: [x], parameters: [weight] + (bias.map { [$0] } ?? [])) { dy in
    if let weightGradient = weight.gradient {
      kernel.backwardWeights(images, dy, weightGradient: weightGradient, biasGradient: nil)
    }
    if let biasGradient = bias?.gradient { addChannelSums(of: dy, into: biasGradient) }
    target.add(kernel.forward(dy, weight: weight.value, bias: nil, result: target.dtype))
  }
}

private func addToChannels(of y: Tensor, _ term: Tensor) {
  let channels = term.count
  ThreadPool.current.forEachRange(of: y.count / channels, grain: max(1, 1 << 15 / channels)) { rows in
    peco_add_to_channels(y.pointer + rows.lowerBound * channels, term.pointer, rows.count, channels)
  }
}

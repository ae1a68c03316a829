import Operations
import Tensors

/// The convolution of images with a weight and a bias, as PyTorch's `conv2d`: [batch, height, width, out].
///
/// - Parameters:
///   - x: [batch, height, width, in] or the same in blocks of channels.
///   - weight: [out, in, kernel height, kernel width]
///   - bias: [out]; nil for none.
///   - stride: Step from one output pixel to the next, in input pixels.
///   - padding: Zeros around each image.
///   - relu: Whether ReLU follows in the same pass.
///   - isNarrow: Whether what reads the result takes it in the context's precision; otherwise it is float32.
///   - other: Added to the result, of its shape; where the number format allows it in the same pass.
public func convolution2d(
  _ x: Tensor, weight: Parameter, bias: Parameter?, stride: Int = 1, padding: Padding = 0, relu: Bool = false,
  isNarrow: Bool = false, addedTo other: Tensor? = nil
) -> Tensor {
  let kernel = ConvolutionKernel(input: x.shape, weight: weight.shape, stride: stride, padding: padding)
  precondition(!(relu && isNarrow), "ReLU gives float32")
  if let other, !(isNarrow && kernel.addsInPass && other.dtype == kernel.dtype) {
    return add(
      other,
      convolution2d(
        x, weight: weight, bias: bias, stride: stride, padding: padding, relu: relu, isNarrow: isNarrow))
  }
  precondition(
    other.map { $0.shape == kernel.outputShape } ?? true, "\(kernel.outputShape) does not add to other shapes"
  )
  let images = x.converted(to: kernel.dtype)
  let y = kernel.forward(
    images, weight: weight.value, bias: bias?.value, relu: relu, added: other,
    result: isNarrow ? nil : .float32)
  let parameters = [weight] + (bias.map { [$0] } ?? [])
  let mask = relu ? y.detached : nil
  // The weights' gradient alone reads the input: frozen weights let go of it.
  let input = weight.gradient == nil ? nil : images
  let (target, otherTarget) = (x.gradientTarget, other?.gradientTarget)
  return Tape.record(y, from: [x] + (other.map { [$0] } ?? []), parameters: parameters) { dy in
    otherTarget?.add(dy)
    let dy = (mask.map { reluBackward(dy, output: $0) } ?? dy).converted(to: kernel.dtype)
    if let input, let weightGradient = weight.gradient {
      kernel.backwardWeights(dy, input, weightGradient: weightGradient, biasGradient: bias?.gradient)
    }
    if target.isWanted { target.add(kernel.backwardData(dy, weight: weight.value, result: target.dtype)) }
  }
}

/// The gradient that the weight of a `convolution2d` gets where the output's is `dy` and the input is `x`; added to
/// nothing.
///
/// - Parameters:
///   - dy: [batch, height, width, out]
///   - x: [batch, height, width, in]
///   - weightShape: [out, in, kernel height, kernel width]
///   - stride: Step from one output pixel to the next, in input pixels.
///   - padding: Zeros around each image.
public func convolution2dWeightGradient(
  _ dy: Tensor, _ x: Tensor, weightShape: [Int], stride: Int = 1, padding: Padding = 0
) -> Tensor {
  let gradient = Tensor(weightShape)
  ConvolutionKernel(input: x.shape, weight: weightShape, stride: stride, padding: padding)
    .backwardWeights(dy, x, weightGradient: gradient, biasGradient: nil)
  return gradient
}

import Operations
@_spi(TensorMemory) import Tensors

/// The pixels of patches as masked autoencoders regress them (He et al., 2111.06377, section 3):
/// [patches.count, patchSize² · 3], pixel by pixel, row by row, the channels of a pixel side by side.
///
/// - Parameters:
///   - images: [B, H, W, channels], H and W multiples of the patch size; no gradient flows to them.
///   - patchSize: Side of a patch, in pixels.
///   - patches: Flat numbers (b · patches of an image + p) of the patches.
///   - normalized: Whether each patch is brought to mean 0 and variance 1, with Bessel's correction and 1e-6 added to
///     the variance, as the paper's code does.
public func patchPixels(
  _ images: Tensor, patchSize: Int, patches: [Int32], normalized: Bool
) -> Tensor {
  precondition(
    images.shape.count == 4 && images.shape[1] % patchSize == 0 && images.shape[2] % patchSize == 0,
    "images of shape \(images.shape) do not fall into patches of \(patchSize)")
  let columns = images.shape[2] / patchSize
  let (line, stride) = (patchSize * images.shape[3], images.shape[2] * images.shape[3])
  let size = patchSize * line
  let result = Tensor(uninitialized: [patches.count, size])
  ThreadPool.current.forEachRange(of: patches.count, grain: rowGrain(size)) { range in
    for index in range {
      // Lines of patches go on from image to image as rows of pixels do.
      let (row, column) = Int(patches[index]).quotientAndRemainder(dividingBy: columns)
      let source = images.pointer + row * patchSize * stride + column * line
      let target = result.pointer + index * size
      for y in 0..<patchSize { (target + y * line).update(from: source + y * stride, count: line) }
      if normalized { normalize(target, size) }
    }
  }
  return result
}

private func normalize(_ values: UnsafeMutablePointer<Float>, _ count: Int) {
  var (sum, squares) = (0.0, 0.0)
  for i in 0..<count { sum += Double(values[i]) }
  let mean = sum / Double(count)
  for i in 0..<count {
    let difference = Double(values[i]) - mean
    squares += difference * difference
  }
  let scale = 1 / (squares / Double(max(count - 1, 1)) + 1e-6).squareRoot()
  for i in 0..<count { values[i] = Float((Double(values[i]) - mean) * scale) }
}

import CKernels
import Operations
@_spi(TensorMemory) import Tensors

/// The pixels of square patches side by side, in the order of a convolution's kernel, as PyTorch's `unfold`:
/// [patches, channels · patch · patch], in the context's precision: a product is what reads them.
///
/// - Parameters:
///   - images: [B, H, W, channels], H and W multiples of the patch size.
///   - patchSize: Side of a patch, in pixels.
///   - patches: The flat numbers (b · patches of an image + p) of the patches, each at most once; nil for all.
public func unfoldPatches(_ images: Tensor, patchSize: Int, patches: [Int]? = nil) -> Tensor {
  precondition(
    images.shape.count == 4 && images.shape[1] % patchSize == 0
      && images.shape[2] % patchSize == 0,
    "images of shape \(images.shape) do not fall into patches of \(patchSize)")
  let (patch, channels) = (patchSize, images.shape[3])
  let (height, width) = (images.shape[1], images.shape[2])
  let (gridHeight, gridWidth) = (height / patch, width / patch)
  let total = images.shape[0] * gridHeight * gridWidth
  let count = patches?.count ?? total
  let size = channels * patch * patch
  let stride = width * channels

  /// First element of the i-th of the embedded patches.
  func origin(_ i: Int) -> Int {
    let (line, column) = (patches?[i] ?? i).quotientAndRemainder(dividingBy: gridWidth)
    // Lines of patches go on from image to image as rows of pixels do.
    return line * patch * stride + column * patch * channels
  }

  let rows = Tensor(uninitialized: [count, size], dtype: ExecutionContext.current.precision)
  ThreadPool.current.forEachRange(of: count, grain: rowGrain(size)) { range in
    for i in range {
      let image = images.pointer + origin(i)
      switch rows.dtype {
      case .float32: peco_unfold_patch(rows.pointer + i * size, image, stride, patch, channels)
      case .bfloat16: peco_unfold_patch_bfloat16(rows.halves + i * size, image, stride, patch, channels)
      }
    }
  }
  return Tape.record(rows, from: [images]) { gradient in
    let gradient = gradient.converted(to: .float32)
    // Patches do not overlap: every pixel belongs to one, or to none that was embedded.
    let dx = count == total ? Tensor(uninitialized: images.shape) : Tensor(images.shape)
    ThreadPool.current.forEachRange(of: count, grain: rowGrain(size)) { range in
      for i in range {
        peco_fold_patch(dx.pointer + origin(i), gradient.pointer + i * size, stride, patch, channels)
      }
    }
    images.addGradient(dx)
  }
}

import CKernels
@_spi(TensorMemory) import Tensors

/// Cuts images into square patches and maps each to a vector: a convolution whose kernel is its stride.
public struct PatchEmbedding {
  /// [width, channels, patch, patch], as a convolution's.
  public let weight: Parameter
  /// [width]
  public let bias: Parameter
  /// Side of a patch in pixels.
  public let patchSize: Int
  private let channels: Int

  /// Makes `proj.weight` and `proj.bias` in `scope`.
  public init(
    patchSize: Int, channels: Int = 3, width: Int, in scope: ParameterScope,
    initializer: Initializer = .truncatedNormal(0.02)
  ) {
    self.patchSize = patchSize
    self.channels = channels
    weight = (scope / "proj").parameter("weight", [width, channels, patchSize, patchSize], initializer)
    bias = (scope / "proj").parameter("bias", [width], .zeros)
  }

  /// Embeds patches in row-major order of each image's grid.
  ///
  /// - Parameters:
  ///   - images: [B, H, W, channels], H and W multiples of the patch size.
  ///   - patches: The flat numbers (b · patches of an image + p) of the patches to embed; nil for all.
  /// - Returns: [patches, width]
  public func callAsFunction(_ images: Tensor, patches: [Int]? = nil) -> Tensor {
    project(unfold(images, patches: patches), weight, biases: [BiasSlice(bias)])
  }

  /// The pixels of each patch in the order of the kernel: [patches, channels · patch · patch].
  private func unfold(_ images: Tensor, patches: [Int]?) -> Tensor {
    precondition(
      images.shape.count == 4 && images.shape[3] == channels && images.shape[1] % patchSize == 0
        && images.shape[2] % patchSize == 0,
      "images of shape \(images.shape) do not fall into patches of \(patchSize)")
    let (patch, channels) = (patchSize, channels)
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

    let rows = Tensor(uninitialized: [count, size])
    ThreadPool.current.forEachRange(of: count, grain: rowGrain(size)) { range in
      for i in range {
        peco_unfold_patch(rows.pointer + i * size, images.pointer + origin(i), stride, patch, channels)
      }
    }
    return Tape.record(rows, from: [images]) { gradient in
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
}

import CKernels
import Tensors

/// Cuts pictures into square patches and maps each to a vector: a convolution whose kernel is its stride.
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

  /// Embeds patches in row-major order of each picture's grid.
  ///
  /// - Parameters:
  ///   - pictures: [B, H, W, channels], H and W multiples of the patch size.
  ///   - patches: The flat numbers (b · patches of a picture + p) of the patches to embed; nil for all.
  /// - Returns: [patches, width]
  public func callAsFunction(_ pictures: Tensor, patches: [Int]? = nil) -> Tensor {
    project(unfold(pictures, patches: patches), weight, biases: [BiasSlice(bias)])
  }

  /// The pixels of each patch in the order of the kernel: [patches, channels · patch · patch].
  private func unfold(_ pictures: Tensor, patches: [Int]?) -> Tensor {
    precondition(
      pictures.shape.count == 4 && pictures.shape[3] == channels && pictures.shape[1] % patchSize == 0
        && pictures.shape[2] % patchSize == 0,
      "pictures of shape \(pictures.shape) do not fall into patches of \(patchSize)")
    let (patch, channels) = (patchSize, channels)
    let (height, width) = (pictures.shape[1], pictures.shape[2])
    let (gridHeight, gridWidth) = (height / patch, width / patch)
    let total = pictures.shape[0] * gridHeight * gridWidth
    let count = patches?.count ?? total
    let size = channels * patch * patch
    let stride = width * channels

    /// First element of the i-th of the embedded patches.
    func origin(_ i: Int) -> Int {
      let (line, column) = (patches?[i] ?? i).quotientAndRemainder(dividingBy: gridWidth)
      // Lines of patches go on from picture to picture as rows of pixels do.
      return line * patch * stride + column * patch * channels
    }

    let rows = Tensor(uninitialized: [count, size])
    ThreadPool.shared.forEachRange(of: count, grain: rowGrain(size)) { range in
      for i in range {
        peco_unfold_patch(rows.pointer + i * size, pictures.pointer + origin(i), stride, patch, channels)
      }
    }
    return Tape.record(rows, from: [pictures]) { gradient in
      // Patches do not overlap: every pixel belongs to one, or to none that was embedded.
      let dx = count == total ? Tensor(uninitialized: pictures.shape) : Tensor(pictures.shape)
      ThreadPool.shared.forEachRange(of: count, grain: rowGrain(size)) { range in
        for i in range {
          peco_fold_patch(dx.pointer + origin(i), gradient.pointer + i * size, stride, patch, channels)
        }
      }
      pictures.addGradient(dx)
    }
  }
}

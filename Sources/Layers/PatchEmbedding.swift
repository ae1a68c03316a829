import ImageOperations
import Operations
import Tensors

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
    weight = (scope / "proj").parameter(
      "weight", [width, channels, patchSize, patchSize], initializer, role: .weight)
    bias = (scope / "proj").parameter("bias", [width], .zeros, role: .bias)
  }

  /// Embeds patches in row-major order of each image's grid.
  ///
  /// - Parameters:
  ///   - images: [B, H, W, channels], H and W multiples of the patch size.
  ///   - patches: The flat numbers (b · patches of an image + p) of the patches to embed; nil for all.
  /// - Returns: [patches, width]
  public func callAsFunction(_ images: Tensor, patches: [Int]? = nil) -> Tensor {
    linear(unfolded(images, patches), weight, biases: [BiasSlice(bias)])
  }

  private func unfolded(_ images: Tensor, _ patches: [Int]?) -> Tensor {
    precondition(
      images.shape.last == channels, "images of shape \(images.shape), not of \(channels) channels")
    return unfoldPatches(images, patchSize: patchSize, patches: patches)
  }
}

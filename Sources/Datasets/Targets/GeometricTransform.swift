import Imaging

/// Where the pixels of a view come from: a region of the image, resized and perhaps mirrored.
///
/// It is drawn once a sample. The image and every target that has a place in it follow the same transform, so that
/// they still agree afterwards. Colors are no part of it: they change the image alone.
public struct GeometricTransform: Sendable, Equatable {
  /// The part that is cut out, in pixels of the image.
  public var region: Region
  /// Whether the result is mirrored left to right.
  public var isFlipped: Bool
  /// Pixels of the result from left to right.
  public var width: Int
  /// Pixels of the result from top to bottom.
  public var height: Int

  public init(region: Region, isFlipped: Bool, width: Int, height: Int) {
    self.region = region
    self.isFlipped = isFlipped
    self.width = width
    self.height = height
  }

  /// The same view at another size, as the tokenizer's is of the model's.
  public func resized(width: Int, height: Int) -> GeometricTransform {
    GeometricTransform(region: region, isFlipped: isFlipped, width: width, height: height)
  }
}

/// What has a place in an image, and so follows the image's crop, flip and size.
public protocol GeometricTarget {
  /// What becomes of it in the view that a transform makes.
  func applying(_ transform: GeometricTransform) throws -> Self
}

extension Image: GeometricTarget {
  /// The view of an image; what lies outside of the region does not count. Throws where the region is not within the
  /// image.
  public func applying(_ transform: GeometricTransform) throws -> Image {
    let view = try cropped(to: transform.region).resized(width: transform.width, height: transform.height)
    return transform.isFlipped ? view.flippedHorizontally() : view
  }
}

extension CropDecoder {
  /// Decodes what views up to the transform's size are made of; the image is turned first.
  func decode(
    _ bytes: UnsafeRawBufferPointer, for transform: GeometricTransform,
    orientation: ImageOrientation = .upright
  ) throws -> Crop {
    try decode(
      bytes, crop: transform.region, width: transform.width, height: transform.height, scaledDecoding: true,
      orientation: orientation)
  }

  /// Makes a view of the crop decoded last: `height × width × 3` floats in [0, 255].
  func resample(
    _ crop: Crop, by transform: GeometricTransform, filter: ResampleFilter,
    into pixels: UnsafeMutablePointer<Float>
  ) throws {
    try resample(
      crop, width: transform.width, height: transform.height, filter: filter, flipped: transform.isFlipped,
      into: pixels)
  }
}

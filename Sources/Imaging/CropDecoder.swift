/// Decodes a crop of an image straight to the size a network reads; one for each loader thread.
///
/// ```swift
/// let decoder = CropDecoder()
/// let crop = Region(x: 40, y: 30, width: 300, height: 280)
/// try decoder.decode(bytes, crop: crop, width: 224, height: 224, flipped: true, into: pixels)
/// ```
///
/// Like torchvision's `resized_crop`, what lies outside the crop does not count.
public final class CropDecoder {
  private let decoded = PixelBuffer()
  private let resampler = Resampler()

  public init() {}

  /// Decodes, crops, resizes and perhaps mirrors an image into floats in [0, 255]: `height × width × 3`.
  ///
  /// - Parameters:
  ///   - bytes: an encoded image.
  ///   - crop: in pixels of the whole image, once it is turned; nil for all of it.
  ///   - width: of the result.
  ///   - height: of the result.
  ///   - filter: what pixels are resampled with.
  ///   - flipped: mirrors the result left to right.
  ///   - scaledDecoding: lets JPEG decode at 1/2, 1/4 or 1/8 when the crop is that much larger than the target.
  ///     Faster; the result differs a little from decoding at full size.
  ///   - orientation: how the image is turned first.
  ///   - pixels: memory for the result.
  @discardableResult
  public func decode(
    _ bytes: UnsafeRawBufferPointer, crop: Region? = nil, width: Int, height: Int,
    filter: ResampleFilter = .bicubic, flipped: Bool = false, scaledDecoding: Bool = false,
    orientation: ImageOrientation = .upright, into pixels: UnsafeMutablePointer<Float>
  ) throws -> DecodedImage {
    let image = try decode(
      bytes, crop: crop, width: width, height: height, scaledDecoding: scaledDecoding,
      orientation: orientation)
    try resample(image, width: width, height: height, filter: filter, flipped: flipped, into: pixels)
    return image.decoded
  }

  /// A crop held decoded by a `CropDecoder`, from which views of several sizes can be made.
  public struct Crop {
    public let decoded: DecodedImage
    fileprivate let box: Box
  }

  /// Decodes a crop, to be resampled to `width` × `height` or smaller; valid until the next call.
  public func decode(
    _ bytes: UnsafeRawBufferPointer, crop: Region? = nil, width: Int, height: Int,
    scaledDecoding: Bool = false, orientation: ImageOrientation = .upright
  ) throws -> Crop {
    var scale = 1
    var crop = crop
    if scaledDecoding || orientation != .upright {
      let info = try ImageInfo(bytes)
      let size = orientation.size(width: info.width, height: info.height)
      let region = crop ?? Region(x: 0, y: 0, width: size.width, height: size.height)
      if scaledDecoding { scale = ImageDecoder.scaleDenominator(for: region, width: width, height: height) }
      // From here on it is about what is stored.
      crop = orientation.stored(region, width: info.width, height: info.height)
    }
    let image = try ImageDecoder.decode(bytes, region: crop, scaleDenominator: scale, into: decoded)
    try image.requireComplete()
    let region = crop ?? Region(x: 0, y: 0, width: image.info.width, height: image.info.height)
    let box = image.box(for: Box(region))
    guard orientation != .upright else { return Crop(decoded: image, box: box) }
    let turned = orientation.turned(box, width: decoded.width, height: decoded.height)
    decoded.turn(orientation)
    return Crop(decoded: image, box: turned)
  }

  /// Resizes the crop decoded last into floats in [0, 255]: `height × width × 3`.
  public func resample(
    _ crop: Crop, width: Int, height: Int, filter: ResampleFilter = .bicubic, flipped: Bool = false,
    into pixels: UnsafeMutablePointer<Float>
  ) throws {
    try resampler.resample(
      decoded, box: crop.box, width: width, height: height, filter: filter, flipped: flipped, into: pixels)
  }
}

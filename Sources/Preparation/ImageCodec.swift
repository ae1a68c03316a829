import Datasets
import Imaging

/// Checks, resizes and encodes images while a dataset is made; one for each thread.
final class ImageCodec {
  /// An image that decodes, as it is to be stored.
  struct Checked {
    let bytes: [UInt8]
    let width: Int
    let height: Int
    let isResized: Bool
    /// How what is stored has to be turned to be seen; width and height are those afterwards.
    let orientation: ImageOrientation
  }

  private let decoded = PixelBuffer()
  private let resized = PixelBuffer()
  private let resampler = Resampler()

  /// Checks that an image decodes to its end, and makes it smaller if its short side exceeds `shortSide`.
  ///
  /// Throws a `DatasetError` with the reason when it does not decode.
  ///
  /// - Parameter turned: Whether the orientation that a camera noted counts. What is encoded anew is turned before.
  func check(_ bytes: [UInt8], _ name: String, shortSide: Int?, quality: Int, turned: Bool) throws -> Checked
  {
    do {
      let info = try ImageInfo(bytes)
      let orientation = turned ? ImageOrientation(exifOf: bytes, format: info.format) : .upright
      let short = min(info.width, info.height)
      guard let shortSide, short > shortSide else {
        try requireDecodable(bytes)
        let (width, height) = orientation.size(width: info.width, height: info.height)
        return Checked(
          bytes: bytes, width: width, height: height, isResized: false, orientation: orientation)
      }
      func scaled(_ side: Int) -> Int {
        max(1, Int((Double(side) * Double(shortSide) / Double(short)).rounded()))
      }
      let (width, height) = (scaled(info.width), scaled(info.height))
      let whole = Region(x: 0, y: 0, width: info.width, height: info.height)
      // What is stored is made with care: coarser decoding only where the filter still has twice the pixels.
      let scale = ImageDecoder.scaleDenominator(for: whole, width: 2 * width, height: 2 * height)
      let image = try bytes.withUnsafeBytes {
        try ImageDecoder.decode($0, scaleDenominator: scale, into: decoded)
      }
      try image.requireComplete()
      try resampler.resample(
        decoded, box: image.box(for: Box(whole)), width: width, height: height, into: resized)
      resized.turn(orientation)
      let encoded = try ImageEncoder.jpeg(
        resized.pixels, width: resized.width, height: resized.height, quality: quality)
      return Checked(
        bytes: encoded, width: resized.width, height: resized.height, isResized: true, orientation: .upright)
    } catch let error as ImagingError {
      throw DatasetError(name, error.problem)
    }
  }

  /// Decodes a stored image completely and returns its size; throws a `DatasetError` when it does not decode.
  func requireDecodable(_ bytes: [UInt8], _ name: @autoclosure () -> String) throws -> (
    width: Int, height: Int
  ) {
    do {
      let info = try requireDecodable(bytes)
      return (info.width, info.height)
    } catch let error as ImagingError {
      let name = name()
      throw DatasetError(name, "\(name): \(error.problem)")
    }
  }

  /// Encodes pixels as JPEG.
  func encode(_ pixels: [UInt8], width: Int, height: Int, quality: Int) throws -> [UInt8] {
    try Image(width: width, height: height, pixels: pixels).jpeg(quality: quality)
  }

  @discardableResult
  private func requireDecodable(_ bytes: [UInt8]) throws -> ImageInfo {
    // At an eighth of the size: all of the data is read all the same, and most of the arithmetic saved.
    let image = try bytes.withUnsafeBytes {
      try ImageDecoder.decode($0, scaleDenominator: 8, into: decoded)
    }
    try image.requireComplete()
    return image.info
  }
}

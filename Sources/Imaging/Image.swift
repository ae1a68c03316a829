import Foundation

/// An image: interleaved RGB, 8 bits a value, row by row from the top.
public struct Image: Sendable, Equatable {
  public let width: Int
  public let height: Int
  /// `height × width × 3` values.
  public var pixels: [UInt8]

  public init(width: Int, height: Int, pixels: [UInt8]) {
    precondition(pixels.count == width * height * 3, "three values a pixel")
    self.width = width
    self.height = height
    self.pixels = pixels
  }

  /// An image of one color.
  public init(width: Int, height: Int, color: (UInt8, UInt8, UInt8) = (0, 0, 0)) {
    self.width = width
    self.height = height
    pixels = [UInt8](repeating: color.0, count: width * height * 3)
    if color.1 != color.0 || color.2 != color.0 {
      for pixel in 0..<(width * height) {
        pixels[3 * pixel + 1] = color.1
        pixels[3 * pixel + 2] = color.2
      }
    }
  }

  /// Rounds an image of floats in [0, 255], `height × width × 3`, as decoders and resamplers make them.
  public init(width: Int, height: Int, rounding values: UnsafeBufferPointer<Float>) {
    precondition(values.count == width * height * 3, "three values a pixel")
    self.width = width
    self.height = height
    // max() first: a NaN becomes black instead of trapping.
    pixels = values.map { UInt8(min(255, max(0, $0.rounded()))) }
  }

  /// Decodes JPEG, PNG or WebP data; an image whose data ends early is an error.
  public init(decoding bytes: UnsafeRawBufferPointer) throws {
    let buffer = PixelBuffer()
    let decoded = try ImageDecoder.decode(bytes, into: buffer)
    try decoded.requireComplete()
    self = buffer.image
  }

  /// Decodes JPEG, PNG or WebP data; an image whose data ends early is an error.
  public init(decoding bytes: [UInt8]) throws {
    self = try bytes.withUnsafeBytes { try Image(decoding: $0) }
  }

  /// Reads and decodes a JPEG, PNG or WebP file.
  public init(contentsOf path: String) throws {
    let data: Data
    do {
      data = try Data(contentsOf: URL(fileURLWithPath: path))
    } catch {
      throw ImagingError(source: path, problem: "cannot read the file: \(error.localizedDescription)")
    }
    do {
      self = try data.withUnsafeBytes { try Image(decoding: $0) }
    } catch let error as ImagingError {
      throw error.at(path)
    }
  }

  /// The part of the image within a region, which must lie inside it.
  public func cropped(to region: Region) throws -> Image {
    guard region.fits(width: width, height: height) else {
      throw ImagingError(problem: "the region \(region) is outside the \(width)×\(height) image")
    }
    var cut: [UInt8] = []
    cut.reserveCapacity(region.width * region.height * 3)
    for row in region.y..<(region.y + region.height) {
      let start = (row * width + region.x) * 3
      cut.append(contentsOf: pixels[start..<(start + region.width * 3)])
    }
    return Image(width: region.width, height: region.height, pixels: cut)
  }

  /// The image mirrored left to right.
  public func flippedHorizontally() -> Image {
    var flipped = self
    for row in 0..<height {
      for column in 0..<width {
        for channel in 0..<3 {
          flipped.pixels[(row * width + column) * 3 + channel] =
            pixels[(row * width + width - 1 - column) * 3 + channel]
        }
      }
    }
    return flipped
  }

  /// The image, or a box of it, at another size; as Pillow's `Image.resize(size, filter, box)`.
  public func resized(
    width: Int, height: Int, filter: ResampleFilter = .bicubic, box: Box? = nil
  ) throws -> Image {
    let target = PixelBuffer()
    try Resampler().resample(
      PixelBuffer(self), box: box, width: width, height: height, filter: filter, into: target)
    return target.image
  }
}

import CJPEG
import CPNG
import CWebP

/// What came of decoding: where the pixels lie in the image, and what the decoder had to say.
public struct DecodedImage: Sendable, Equatable {
  /// The header of the whole image.
  public let info: ImageInfo
  /// The image was scaled by 1 over this: the denominator asked for in JPEG, 1 in the others.
  public let scaleDenominator: Int
  /// Where the first decoded pixel lies in the scaled image.
  public let originX: Int
  public let originY: Int
  /// The data ended before the image did; the rest is gray. Only JPEG: another image cut short is an error.
  public let isTruncated: Bool
  /// The decoder's first complaint about data it could decode all the same.
  public let warning: String?

  /// Where a box of the whole image lies in the decoded pixels.
  public func box(for box: Box) -> Box {
    let scale = Double(scaleDenominator)
    return Box(
      x: box.x / scale - Double(originX), y: box.y / scale - Double(originY), width: box.width / scale,
      height: box.height / scale)
  }

  /// Throws if the data ended before the image did.
  public func requireComplete() throws {
    if isTruncated {
      throw ImagingError(
        problem: "the data ends before the image does (\(warning ?? "truncated"))",
        advice: "copy the file anew, or leave it out")
    }
  }
}

/// Decodes JPEG, PNG and WebP into interleaved 8-bit RGB; safe on any number of threads.
///
/// Gray and palettes are spread out, CMYK and YCCK are converted as Pillow does (taking them for inverted), 16
/// bits are cut to the upper 8 (where Pillow cuts 16-bit gray off at 255), alpha is dropped (as by Pillow's
/// `convert("RGB")`), and the orientation that a camera noted is not applied: that is ``ImageOrientation``'s.
public enum ImageDecoder {
  /// Decodes an image or a region of it.
  ///
  /// - Parameters:
  ///   - bytes: an encoded image.
  ///   - region: what to decode, in pixels of the whole image; nil for all of it. With a scale, the result covers the
  ///     region and up to a pixel more on each side: see `DecodedImage.box(for:)`. The pixels are those that decoding
  ///     the whole would give.
  ///   - scaleDenominator: 1, 2, 4 or 8: JPEG is decoded at that fraction of its size, which is much faster. Others
  ///     are decoded at full size.
  ///   - buffer: where the pixels go; it grows as it must.
  public static func decode(
    _ bytes: UnsafeRawBufferPointer, region: Region? = nil, scaleDenominator: Int = 1,
    into buffer: PixelBuffer
  ) throws -> DecodedImage {
    precondition([1, 2, 4, 8].contains(scaleDenominator), "the scale is 1/1, 1/2, 1/4 or 1/8")
    let info = try ImageInfo(bytes)
    let region = region ?? Region(x: 0, y: 0, width: info.width, height: info.height)
    guard region.fits(width: info.width, height: info.height) else {
      throw ImagingError(problem: "the region \(region) is outside the \(info.width)×\(info.height) image")
    }
    let scale = info.format == .jpeg ? scaleDenominator : 1
    let left = region.x / scale
    let top = region.y / scale
    // The last scaled pixel may stand for fewer than `scale` pixels of the image.
    let right = (region.x + region.width + scale - 1) / scale
    let bottom = (region.y + region.height + scale - 1) / scale
    buffer.resize(width: right - left, height: bottom - top)

    var truncated = false
    var warning: String?
    switch info.format {
    case .jpeg:
      var report = peco_jpeg_report()
      let status = peco_jpeg_decode(
        bytes.bytes, bytes.count, Int32(scale), Int32(left), Int32(top), Int32(buffer.width),
        Int32(buffer.height), buffer.pixels, buffer.bytesPerRow, &report)
      let message = String(cString: peco_jpeg_message(&report))
      guard status == 0 else { throw ImagingError(problem: "damaged JPEG: " + message) }
      truncated = report.truncated != 0
      warning = report.warnings > 0 ? message : nil
    case .png:
      var report = peco_png_report()
      let status = peco_png_decode(
        bytes.bytes, bytes.count, Int32(info.width), Int32(info.height), Int32(left), Int32(top),
        Int32(buffer.width), Int32(buffer.height), buffer.pixels, buffer.bytesPerRow, &report)
      let message = String(cString: peco_png_message(&report))
      guard status == 0 else {
        throw ImagingError(
          problem: report.truncated != 0 ? message : "damaged PNG: " + message,
          advice: report.truncated != 0 ? "copy the file anew, or leave it out" : nil)
      }
      warning = report.warnings > 0 ? message : nil
    case .webp:
      var ended: Int32 = 0
      let problem = peco_webp_decode(
        bytes.bytes, bytes.count, Int32(left), Int32(top), Int32(buffer.width), Int32(buffer.height),
        buffer.pixels, buffer.bytesPerRow, &ended)
      if let problem {
        throw ImagingError(
          problem: (ended != 0 ? "" : "damaged WebP: ") + String(cString: problem),
          advice: ended != 0 ? "copy the file anew, or leave it out" : nil)
      }
    }
    return DecodedImage(
      info: info, scaleDenominator: scale, originX: left, originY: top, isTruncated: truncated,
      warning: warning)
  }

  /// The largest scale at which a region still has at least the target's pixels in both directions.
  public static func scaleDenominator(for region: Region, width: Int, height: Int) -> Int {
    [8, 4, 2].first { region.width / $0 >= width && region.height / $0 >= height } ?? 1
  }
}

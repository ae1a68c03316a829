import CJPEG
import CPNG
import Foundation

/// How JPEG stores color: at full resolution or at half, in both directions.
public enum ChromaSubsampling: Sendable {
  case full444
  case half420
}

/// Encodes interleaved 8-bit RGB as JPEG or PNG; safe on any number of threads.
public enum ImageEncoder {
  /// JPEG data of a quality from 1 to 100.
  public static func jpeg(
    _ pixels: UnsafePointer<UInt8>, width: Int, height: Int, quality: Int = 90,
    subsampling: ChromaSubsampling = .half420
  ) throws -> [UInt8] {
    guard (1...100).contains(quality) else {
      throw ImagingError(problem: "the JPEG quality is \(quality), it must be from 1 to 100")
    }
    guard width > 0, height > 0, width <= 65_500, height <= 65_500 else {
      throw ImagingError(problem: "JPEG cannot hold \(width)×\(height) pixels; the most is 65500 a side")
    }
    var report = peco_jpeg_report()
    var bytes: UnsafeMutablePointer<UInt8>?
    var count = 0
    let status = peco_jpeg_encode(
      pixels, Int32(width), Int32(height), width * 3, Int32(quality), subsampling == .half420 ? 1 : 0,
      &bytes, &count, &report)
    guard status == 0, let bytes else {
      throw ImagingError(problem: "cannot encode JPEG: " + String(cString: peco_jpeg_message(&report)))
    }
    defer { peco_jpeg_free(bytes) }
    return Array(UnsafeBufferPointer(start: bytes, count: count))
  }

  /// PNG data.
  public static func png(_ pixels: UnsafePointer<UInt8>, width: Int, height: Int) throws -> [UInt8] {
    guard width > 0, height > 0, width <= ImageInfo.maximumPixels / height else {
      throw ImagingError(problem: "will not encode \(width)×\(height) pixels as PNG")
    }
    var report = peco_png_report()
    var bytes: UnsafeMutablePointer<UInt8>?
    var count = 0
    let status = peco_png_encode(pixels, Int32(width), Int32(height), width * 3, &bytes, &count, &report)
    guard status == 0, let bytes else {
      throw ImagingError(problem: "cannot encode PNG: " + String(cString: peco_png_message(&report)))
    }
    defer { peco_png_free(bytes) }
    return Array(UnsafeBufferPointer(start: bytes, count: count))
  }
}

extension Image {
  /// The image as JPEG data of a quality from 1 to 100.
  public func jpeg(quality: Int = 90, subsampling: ChromaSubsampling = .half420) throws -> [UInt8] {
    try pixels.withUnsafeBufferPointer { buffer in
      guard let base = buffer.baseAddress else { throw ImagingError(problem: "the image has no pixels") }
      return try ImageEncoder.jpeg(
        base, width: width, height: height, quality: quality, subsampling: subsampling)
    }
  }

  /// The image as PNG data.
  public func png() throws -> [UInt8] {
    try pixels.withUnsafeBufferPointer { buffer in
      guard let base = buffer.baseAddress else { throw ImagingError(problem: "the image has no pixels") }
      return try ImageEncoder.png(base, width: width, height: height)
    }
  }

  /// Writes the image to a PNG file.
  public func writePNG(to path: String) throws {
    let bytes = try png()
    do {
      try Data(bytes).write(to: URL(fileURLWithPath: path), options: .atomic)
    } catch {
      throw ImagingError(
        source: path, problem: "cannot write the file: \(error.localizedDescription)",
        advice: "check that the folder exists, may be written to and has space left")
    }
  }
}

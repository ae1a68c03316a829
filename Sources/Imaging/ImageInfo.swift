import CJPEG
import CWebP

/// A format in which images are stored.
public enum ImageFormat: String, Sendable, Equatable {
  case jpeg = "JPEG"
  case png = "PNG"
  case webp = "WebP"

  /// Recognizes a format by the first bytes of its data; nil when it is none of them.
  public static func detect(_ bytes: UnsafeRawBufferPointer) -> ImageFormat? {
    if bytes.starts(with: [0xFF, 0xD8, 0xFF]) { return .jpeg }
    if bytes.starts(with: [0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A]) { return .png }
    if bytes.starts(with: "RIFF".utf8), bytes.dropFirst(8).starts(with: "WEBP".utf8) { return .webp }
    return nil
  }

  /// What is said of data that is in none of the formats.
  package static let unknown = "is neither JPEG, PNG nor WebP"

  /// The name of another format of images, by the first bytes of its data; nil when it is none that is known.
  package static func foreignName(_ bytes: UnsafeRawBufferPointer) -> String? {
    let known: [(start: [UInt8], at: Int, name: String)] = [
      (Array("GIF8".utf8), 0, "GIF"), ([0x49, 0x49, 0x2A, 0], 0, "TIFF"), ([0x4D, 0x4D, 0, 0x2A], 0, "TIFF"),
      (Array("ftypavif".utf8), 4, "AVIF"), (Array("ftypheic".utf8), 4, "HEIF"),
      (Array("ftypheix".utf8), 4, "HEIF"),
      (Array("ftypmif1".utf8), 4, "HEIF"), (Array("jP  \r\n".utf8), 4, "JPEG 2000"),
      ([0xFF, 0x4F, 0xFF, 0x51], 0, "JPEG 2000"), ([0xFF, 0x0A], 0, "JPEG XL"),
      (Array("JXL \r\n".utf8), 4, "JPEG XL"),
      (Array("8BPS".utf8), 0, "Photoshop's own format"), (Array("qoif".utf8), 0, "QOI"),
    ]
    if let format = known.first(where: { bytes.dropFirst($0.at).starts(with: $0.start) }) {
      return format.name
    }
    // Texts may begin with BM: the size of the second header tells.
    let sizes: [UInt8] = [12, 40, 52, 56, 64, 108, 124]
    let isBMP = bytes.starts(with: "BM".utf8) && bytes.count > 18 && sizes.contains(bytes[14])
    return isBMP && bytes[15..<18].allSatisfy { $0 == 0 } ? "BMP" : nil
  }

  /// Recognizes a format by the first bytes of its data; nil when it is none of them.
  public static func detect(_ bytes: [UInt8]) -> ImageFormat? { bytes.withUnsafeBytes { detect($0) } }
}

/// What an image's header says, read without decoding it.
public struct ImageInfo: Sendable, Equatable {
  /// How the stored components make a color.
  public enum ColorSpace: String, Sendable {
    case gray, grayAlpha, palette, rgb, rgbAlpha, ycc, cmyk, ycck
  }

  /// A header that asks for more pixels than this is refused as damaged or hostile.
  public static let maximumPixels = 1 << 28

  public let format: ImageFormat
  public let width: Int
  public let height: Int
  /// Stored values a pixel.
  public let components: Int
  public let colorSpace: ColorSpace

  /// Reads the header of JPEG, PNG or WebP data.
  public init(_ bytes: UnsafeRawBufferPointer) throws {
    guard let format = ImageFormat.detect(bytes) else {
      let foreign = ImageFormat.foreignName(bytes).map { "is \($0), which cannot be read" }
      throw ImagingError(
        problem: bytes.isEmpty ? "is empty" : foreign ?? ImageFormat.unknown,
        advice: bytes.isEmpty ? nil : "convert it to JPEG, PNG or WebP, or leave it out")
    }
    self.format = format
    switch format {
    case .jpeg:
      var header = peco_jpeg_header()
      var report = peco_jpeg_report()
      guard peco_jpeg_read_header(bytes.bytes, bytes.count, &header, &report) == 0 else {
        throw ImagingError(problem: "damaged JPEG header: " + String(cString: peco_jpeg_message(&report)))
      }
      width = Int(header.width)
      height = Int(header.height)
      components = Int(header.components)
      switch Int(header.color_space) {
      case PECO_JPEG_GRAY: colorSpace = .gray
      case PECO_JPEG_RGB: colorSpace = .rgb
      case PECO_JPEG_YCC: colorSpace = .ycc
      case PECO_JPEG_CMYK: colorSpace = .cmyk
      case PECO_JPEG_YCCK: colorSpace = .ycck
      default:
        throw ImagingError(problem: "unknown JPEG color space of \(header.components) components")
      }
    case .png:
      // Signature, then the IHDR chunk: length, "IHDR", width, height, bit depth, color type.
      guard bytes.count >= 26, bytes[12..<16].elementsEqual("IHDR".utf8) else {
        throw ImagingError(problem: "damaged PNG header: the data ends before it")
      }
      width = bytes.bigEndian32(at: 16)
      height = bytes.bigEndian32(at: 20)
      switch bytes[25] {
      case 0: (colorSpace, components) = (.gray, 1)
      case 2: (colorSpace, components) = (.rgb, 3)
      case 3: (colorSpace, components) = (.palette, 1)
      case 4: (colorSpace, components) = (.grayAlpha, 2)
      case 6: (colorSpace, components) = (.rgbAlpha, 4)
      default: throw ImagingError(problem: "damaged PNG header: unknown color type \(bytes[25])")
      }
    case .webp:
      var header = peco_webp_header()
      if let problem = peco_webp_read_header(bytes.bytes, bytes.count, &header) {
        throw ImagingError(problem: "damaged WebP header: " + String(cString: problem))
      }
      width = Int(header.width)
      height = Int(header.height)
      components = header.has_alpha != 0 ? 4 : 3
      colorSpace = header.has_alpha != 0 ? .rgbAlpha : header.is_lossless != 0 ? .rgb : .ycc
    }
    guard width > 0, height > 0 else {
      throw ImagingError(problem: "the header says \(width)×\(height) pixels")
    }
    guard width <= ImageInfo.maximumPixels / height else {
      throw ImagingError(
        problem:
          "the header says \(width)×\(height) pixels, more than the \(ImageInfo.maximumPixels) accepted",
        advice: "it is damaged, or must be made smaller first")
    }
  }

  /// Reads the header of JPEG, PNG or WebP data.
  public init(_ bytes: [UInt8]) throws { self = try bytes.withUnsafeBytes { try ImageInfo($0) } }
}

extension UnsafeRawBufferPointer {
  var bytes: UnsafePointer<UInt8>? { baseAddress?.assumingMemoryBound(to: UInt8.self) }

  fileprivate func bigEndian32(at index: Int) -> Int {
    self[index..<(index + 4)].reduce(0) { $0 << 8 | Int($1) }
  }
}

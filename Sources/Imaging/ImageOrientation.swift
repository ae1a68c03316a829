/// How an image has to be turned to be seen as its camera saw it: the orientation of EXIF, 1 to 8.
public enum ImageOrientation: UInt8, Sendable, CaseIterable {
  case upright = 1
  case mirrored = 2
  case halfTurned = 3
  case flipped = 4
  case transposed = 5
  case quarterTurned = 6
  case transversed = 7
  case threeQuartersTurned = 8

  /// Whether width and height change places.
  public var isTransposed: Bool { rawValue >= 5 }

  /// Whether columns are counted from the right of what is stored, and rows from its bottom.
  private var isFromRight: Bool {
    [.mirrored, .halfTurned, .transversed, .threeQuartersTurned].contains(self)
  }
  private var isFromBottom: Bool { [.halfTurned, .flipped, .quarterTurned, .transversed].contains(self) }

  /// The size of an image once it is turned; and, just as well, its stored size of that of the turned one.
  public func size(width: Int, height: Int) -> (width: Int, height: Int) {
    isTransposed ? (height, width) : (width, height)
  }

  /// Where a region of the turned image lies in what is stored, of `width` × `height`.
  public func stored(_ region: Region, width: Int, height: Int) -> Region {
    var region = region
    if isTransposed { region = Region(x: region.y, y: region.x, width: region.height, height: region.width) }
    if isFromRight { region.x = width - region.x - region.width }
    if isFromBottom { region.y = height - region.y - region.height }
    return region
  }

  /// Where a box of what is stored, of `width` × `height`, lies in the turned image.
  func turned(_ box: Box, width: Int, height: Int) -> Box {
    var box = box
    if isFromRight { box.x = Double(width) - box.x - box.width }
    if isFromBottom { box.y = Double(height) - box.y - box.height }
    return isTransposed ? Box(x: box.y, y: box.x, width: box.height, height: box.width) : box
  }

  /// The place of what is stored, of `width` × `height`, that has a pixel of the turned image.
  func stored(x: Int, y: Int, width: Int, height: Int) -> (x: Int, y: Int) {
    let (column, row) = isTransposed ? (y, x) : (x, y)
    return (isFromRight ? width - 1 - column : column, isFromBottom ? height - 1 - row : row)
  }
}

extension ImageOrientation {
  /// What the EXIF data of an encoded image says, and where that has no orientation, what its XMP says, as in Pillow;
  /// upright where there is none, or it makes no sense.
  public init(exifOf bytes: [UInt8], format: ImageFormat) {
    let exif: ArraySlice<UInt8>?
    let xmp: ArraySlice<UInt8>?
    let (exifPrefix, xmpPrefix) = ("Exif\0\0", "http://ns.adobe.com/xap/1.0/\0")
    switch format {
    case .jpeg:
      (exif, xmp) = (Self.segment(exifPrefix, ofJPEG: bytes), Self.segment(xmpPrefix, ofJPEG: bytes))
    case .png:
      exif = Self.chunk("eXIf", of: bytes, from: 8, isPNG: true)
      xmp = Self.chunk("iTXt", beginning: "XML:com.adobe.xmp\0", of: bytes, from: 8, isPNG: true)
    case .webp:
      exif = Self.chunk("EXIF", of: bytes, from: 12, isPNG: false)
      xmp = Self.chunk("XMP ", of: bytes, from: 12, isPNG: false)
    }
    let stored = exif.flatMap {
      Self.orientation(inEXIF: $0.starts(with: exifPrefix.utf8) ? $0.dropFirst(exifPrefix.utf8.count) : $0)
    }
    let number = stored ?? xmp.flatMap { Self.orientation(inXMP: $0) }
    self = number.flatMap { ImageOrientation(rawValue: UInt8(clamping: $0)) } ?? .upright
  }

  /// The first APP1 segment before the image's data that begins so.
  private static func segment(_ prefix: String, ofJPEG bytes: [UInt8]) -> ArraySlice<UInt8>? {
    var index = 2
    while index + 4 <= bytes.count, bytes[index] == 0xFF {
      let marker = bytes[index + 1]
      // Markers may be padded, and the data begins with the start of a scan.
      if marker == 0xFF {
        index += 1
        continue
      }
      guard marker != 0xDA else { return nil }
      let end = index + 2 + (Int(bytes[index + 2]) << 8 | Int(bytes[index + 3]))
      guard end >= index + 4, end <= bytes.count else { return nil }
      let segment = bytes[(index + 4)..<end]
      if marker == 0xE1, segment.starts(with: prefix.utf8) { return segment }
      index = end
    }
    return nil
  }

  /// A chunk of a PNG, or of the RIFF file that a WebP is.
  private static func chunk(
    _ name: String, beginning prefix: String = "", of bytes: [UInt8], from start: Int, isPNG: Bool
  ) -> ArraySlice<UInt8>? {
    var index = start
    while index + 8 <= bytes.count {
      let (length, tag) = isPNG ? (index, index + 4) : (index + 4, index)
      let size = number(bytes[length..<(length + 4)], isBigEndian: isPNG)
      let content = index + 8
      guard size <= bytes.count - content else { return nil }
      let chunk = bytes[content..<(content + size)]
      if bytes[tag..<(tag + 4)].elementsEqual(name.utf8), chunk.starts(with: prefix.utf8) { return chunk }
      // A sum follows in PNG; in RIFF chunks begin at even places.
      index = content + size + (isPNG ? 4 : size & 1)
    }
    return nil
  }

  /// The number in the first directory of a TIFF header.
  private static func orientation(inEXIF exif: ArraySlice<UInt8>) -> Int? {
    let tiff = Array(exif)
    guard tiff.count >= 8 else { return nil }
    let isBigEndian = tiff.starts(with: "MM".utf8)
    guard isBigEndian || tiff.starts(with: "II".utf8) else { return nil }
    func value(_ place: Int, _ size: Int) -> Int? {
      guard place >= 0, place <= tiff.count - size else { return nil }
      return number(tiff[place..<(place + size)], isBigEndian: isBigEndian)
    }
    guard value(2, 2) == 42, let directory = value(4, 4), let entries = value(directory, 2) else {
      return nil
    }
    for entry in 0..<entries {
      let place = directory + 2 + 12 * entry
      // Tag, type (3 is a number of two bytes), count, value.
      guard let tag = value(place, 2) else { return nil }
      guard tag == 0x0112, value(place + 2, 2) == 3, let number = value(place + 8, 2) else { continue }
      return number
    }
    return nil
  }

  /// The digit of `tiff:Orientation="6"` or `<tiff:Orientation>6`, the two forms in which XMP has it.
  private static func orientation(inXMP xmp: ArraySlice<UInt8>) -> Int? {
    let name = Array("tiff:Orientation".utf8)
    var rest = xmp
    while let found = rest.firstRange(of: name) {
      rest = rest[found.upperBound...]
      for opening in ["=\"", ">"] where rest.starts(with: opening.utf8) {
        let digit = rest.dropFirst(opening.utf8.count).first ?? 0
        if (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(digit) { return Int(digit - UInt8(ascii: "0")) }
      }
    }
    return nil
  }

  private static func number(_ bytes: ArraySlice<UInt8>, isBigEndian: Bool) -> Int {
    isBigEndian ? bytes.reduce(0) { $0 << 8 | Int($1) } : bytes.reversed().reduce(0) { $0 << 8 | Int($1) }
  }
}

extension PixelBuffer {
  /// Turns the image in the buffer.
  public func turn(_ orientation: ImageOrientation) {
    guard orientation != .upright else { return }
    let (width, height) = (width, height)
    let stored = image.pixels
    let turned = orientation.size(width: width, height: height)
    resize(width: turned.width, height: turned.height)
    stored.withUnsafeBufferPointer { stored in
      for y in 0..<turned.height {
        for x in 0..<turned.width {
          let from = orientation.stored(x: x, y: y, width: width, height: height)
          let (source, target) = ((from.y * width + from.x) * 3, (y * turned.width + x) * 3)
          for channel in 0..<3 { pixels[target + channel] = stored[source + channel] }
        }
      }
    }
  }
}

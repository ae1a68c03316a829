import Imaging
import Testing

@Suite struct ImageOrientationTests {
  @Test(arguments: 1...8, ["jpg", "png", "webp"]) func turnedItIsAsPillowTurnsIt(value: Int, ending: String)
    throws
  {
    let bytes = try fixture("orientation\(value).\(ending)")
    let orientation = ImageOrientation(exifOf: bytes, format: try ImageInfo(bytes).format)
    #expect(Int(orientation.rawValue) == value)
    let buffer = PixelBuffer(try Image(decoding: bytes))
    #expect((buffer.width, buffer.height) == (13, 7))
    buffer.turn(orientation)
    #expect((buffer.width, buffer.height) == (value < 5 ? (13, 7) : (7, 13)))
    let expected = try fixture("orientation\(value).rgb")
    let difference = try #require(largestDifference(buffer.image.pixels, expected))
    // JPEG is not what it was made from; turned another way it would differ by far more.
    #expect(difference <= (ending == "jpg" ? 40 : 0))
  }

  /// EXIF that says nothing of it leaves it to XMP, an attribute or an element there.
  @Test(arguments: [3, 6], ["jpg", "png", "webp"]) func xmpSaysItWhereEXIFDoesNot(value: Int, ending: String)
    throws
  {
    func orientation(_ bytes: [UInt8]) throws -> Int {
      Int(ImageOrientation(exifOf: bytes, format: try ImageInfo(bytes).format).rawValue)
    }
    let bytes = try fixture("orientationxmp\(value).\(ending)")
    #expect(try orientation(bytes) == value)
    let digit =
      try #require(bytes.firstRange(of: Array("tiff:Orientation".utf8))).upperBound + (value == 6 ? 2 : 1)
    for (number, expected) in [("8", 8), ("0", 1), ("9", 1), ("x", 1)] {
      var other = bytes
      other[digit] = Array(number.utf8)[0]
      #expect(try orientation(other) == expected)
    }
  }

  /// A crop of the turned image is the same, whether the whole is turned first or what is decoded of it.
  @Test(arguments: ImageOrientation.allCases, [(1, 7), (8, 30)]) func cropsAreThoseOfTheTurnedImage(
    orientation: ImageOrientation, size: (scale: Int, side: Int)
  ) throws {
    let stored = scene(width: 301, height: 211)
    let bytes = size.scale == 1 ? try stored.png() : try stored.jpeg(quality: 95, subsampling: .full444)
    let whole = PixelBuffer(try Image(decoding: bytes))
    whole.turn(orientation)
    let turned = whole.image
    let decoder = CropDecoder()
    for region in [
      Region(x: 0, y: 0, width: turned.width, height: turned.height),
      Region(x: 3, y: 8, width: 90, height: 41),
      Region(x: turned.width - 60, y: turned.height - 33, width: 60, height: 33),
    ] {
      var pixels = [Float](repeating: 0, count: size.side * size.side * 3)
      _ = try bytes.withUnsafeBytes { bytes in
        try pixels.withUnsafeMutableBufferPointer {
          try decoder.decode(
            bytes, crop: region, width: size.side, height: size.side, scaledDecoding: size.scale > 1,
            orientation: orientation, into: try #require($0.baseAddress))
        }
      }
      let expected = try turned.cropped(to: region).resized(width: size.side, height: size.side)
      let differences = zip(pixels, expected.pixels).map { abs($0 - Float($1)) }
      let mean = differences.reduce(0, +) / Float(differences.count)
      #expect(mean < (size.scale == 1 ? 0.5 : 8), "\(region)")
    }
  }

  @Test func whatMakesNoSenseIsUpright() throws {
    let jpeg = try fixture("orientation6.jpg")
    let tiff = try #require(jpeg.firstRange(of: Array("Exif".utf8))).upperBound + 2
    // Every byte of the header and the directory, by itself.
    for place in 0..<28 {
      for value: UInt8 in [0, 1, 9, 0x7F, 0xFF] {
        var bytes = jpeg
        bytes[tiff + place] = value
        _ = ImageOrientation(exifOf: bytes, format: .jpeg)
      }
    }
    for count in 0..<(tiff + 26) {
      #expect(ImageOrientation(exifOf: Array(jpeg.prefix(count)), format: .jpeg) == .upright)
    }
    #expect(ImageOrientation(exifOf: try fixture("plain.png"), format: .png) == .upright)
    #expect(ImageOrientation(exifOf: [], format: .webp) == .upright)
  }
}

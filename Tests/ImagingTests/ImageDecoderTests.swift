import Foundation
import Imaging
import Synchronization
import Testing

@Suite struct ImageDecoderTests {
  @Test(arguments: [
    ("ycc444", ImageInfo.ColorSpace.ycc), ("ycc422", .ycc), ("ycc420", .ycc), ("ycc411", .ycc),
    ("progressive", .ycc), ("restarts", .ycc), ("rgb", .rgb), ("cmyk", .cmyk), ("ycck", .ycck),
    ("gray", .gray),
  ])
  func jpegOfEveryColorSpaceIsAsPillowSeesIt(name: String, colorSpace: ImageInfo.ColorSpace) throws {
    let bytes = try fixture(name + ".jpg")
    let info = try ImageInfo(bytes)
    #expect(info.format == .jpeg)
    #expect(info.colorSpace == colorSpace)
    #expect((info.width, info.height) == (53, 37))
    let image = try Image(decoding: bytes)
    #expect((image.width, image.height) == (53, 37))
    let expected = try fixture(name == "gray" ? "gray-jpeg.rgb" : name + ".rgb")
    // Versions of libjpeg-turbo differ in how they upsample color.
    #expect(try #require(largestDifference(image.pixels, expected)) <= 2)
  }

  @Test(arguments: [
    ("plain", ImageInfo.ColorSpace.rgb), ("alpha", .rgbAlpha), ("gray", .gray), ("bits", .gray),
    ("grayalpha", .grayAlpha), ("palette", .palette), ("palettealpha", .palette), ("deep", .rgb),
    ("interlaced", .rgb), ("deepgray", .gray),
  ])
  func pngOfEveryColorTypeIsAsPillowSeesIt(name: String, colorSpace: ImageInfo.ColorSpace) throws {
    let bytes = try fixture(name + ".png")
    let info = try ImageInfo(bytes)
    #expect(info.format == .png)
    #expect(info.colorSpace == colorSpace)
    let image = try Image(decoding: bytes)
    #expect((image.width, image.height) == (53, 37))
    #expect(image.pixels == (try fixture(name == "gray" ? "gray-png.rgb" : name + ".rgb")))
  }

  @Test(arguments: ["alpha.png", "bits.png", "palette.png", "deep.png", "interlaced.png"])
  func regionOfPNGIsTheCrop(name: String) throws {
    try expectRegionsEqualCrops(try fixture(name), scale: 1)
  }

  @Test(
    arguments: [
      "ycc444.jpg", "ycc422.jpg", "ycc420.jpg", "ycc411.jpg", "progressive.jpg", "restarts.jpg",
      "cmyk.jpg", "gray.jpg", "rgb.jpg",
    ], [1, 2, 4, 8])
  func regionOfSmallJPEGIsTheCrop(name: String, scale: Int) throws {
    try expectRegionsEqualCrops(try fixture(name), scale: scale)
  }

  @Test(arguments: [ChromaSubsampling.full444, .half420], [1, 2, 4, 8])
  func regionOfLargeJPEGIsTheCrop(subsampling: ChromaSubsampling, scale: Int) throws {
    let bytes = try scene(width: 331, height: 277).jpeg(quality: 85, subsampling: subsampling)
    try expectRegionsEqualCrops(bytes, scale: scale)
  }

  /// Regions at the edges, across block boundaries, and of single pixels.
  private func expectRegionsEqualCrops(_ bytes: [UInt8], scale: Int) throws {
    let info = try ImageInfo(bytes)
    let whole = PixelBuffer()
    let part = PixelBuffer()
    try bytes.withUnsafeBytes { bytes in
      _ = try ImageDecoder.decode(bytes, scaleDenominator: scale, into: whole)
      let image = whole.image
      #expect(image.width == (info.width + scale - 1) / scale)
      #expect(image.height == (info.height + scale - 1) / scale)
      var state: UInt64 = 99
      func draw(_ bound: Int) -> Int {
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        return Int(state >> 33) % bound
      }
      var regions = [
        Region(x: 0, y: 0, width: 1, height: 1), Region(x: 0, y: 0, width: info.width, height: info.height),
        Region(x: info.width - 1, y: info.height - 1, width: 1, height: 1),
        Region(x: 16, y: 16, width: 16, height: 16), Region(x: 17, y: 15, width: 15, height: 2),
      ]
      for _ in 0..<40 {
        let (x, y) = (draw(info.width), draw(info.height))
        regions.append(
          Region(x: x, y: y, width: 1 + draw(info.width - x), height: 1 + draw(info.height - y)))
      }
      for region in regions {
        let decoded = try ImageDecoder.decode(bytes, region: region, scaleDenominator: scale, into: part)
        let box = decoded.box(for: Box(region))
        #expect(box.x >= 0 && box.y >= 0)
        #expect(box.x + box.width <= Double(part.width) && box.y + box.height <= Double(part.height))
        let crop = try image.cropped(
          to: Region(x: decoded.originX, y: decoded.originY, width: part.width, height: part.height))
        #expect(part.image == crop, "\(region)")
      }
    }
  }

  @Test func scaledDecodingIsTheSmallImage() throws {
    let image = scene(width: 331, height: 277)
    let bytes = try image.jpeg(quality: 95, subsampling: .full444)
    let buffer = PixelBuffer()
    for scale in [2, 4, 8] {
      let decoded = try bytes.withUnsafeBytes {
        try ImageDecoder.decode($0, scaleDenominator: scale, into: buffer)
      }
      #expect(decoded.scaleDenominator == scale)
      let box = Box(x: 0, y: 0, width: Double(331 / scale * scale), height: Double(277 / scale * scale))
      let expected = try image.resized(width: 331 / scale, height: 277 / scale, filter: .box, box: box)
      let inside = try buffer.image.cropped(
        to: Region(x: 0, y: 0, width: expected.width, height: expected.height))
      let differences = zip(inside.pixels, expected.pixels).map { abs(Int($0) - Int($1)) }
      #expect(Double(differences.reduce(0, +)) / Double(differences.count) < 6)
    }
    #expect(
      ImageDecoder.scaleDenominator(for: Region(x: 0, y: 0, width: 900, height: 448), width: 224, height: 224)
        == 2)
    #expect(
      ImageDecoder.scaleDenominator(for: Region(x: 0, y: 0, width: 900, height: 447), width: 224, height: 224)
        == 1)
  }

  @Test func truncatedJPEGIsSaidToBe() throws {
    let whole = try scene(width: 200, height: 150).jpeg()
    let bytes = Array(whole.prefix(whole.count * 2 / 3))
    let buffer = PixelBuffer()
    let decoded = try bytes.withUnsafeBytes { try ImageDecoder.decode($0, into: buffer) }
    #expect(decoded.isTruncated)
    #expect(decoded.warning?.contains("Premature end") == true)
    let error = try #require(imagingError { try Image(decoding: bytes) })
    #expect(error.problem.contains("the data ends before the image does"))
    #expect(error.at("dog.jpg").description.hasPrefix("dog.jpg: "))
    // What is asked for is all there.
    let top = try bytes.withUnsafeBytes {
      try ImageDecoder.decode($0, region: Region(x: 0, y: 0, width: 200, height: 16), into: buffer)
    }
    #expect(!top.isTruncated)
  }

  @Test func everyPrefixOfAImageIsAnErrorOrFlagged() throws {
    for name in ["ycc420.jpg", "progressive.jpg", "cmyk.jpg", "palette.png", "interlaced.png"] {
      let whole = try fixture(name)
      for count in stride(from: 0, to: whole.count - 2, by: 37) {
        #expect(imagingError { try Image(decoding: Array(whole.prefix(count))) } != nil, "\(name) \(count)")
      }
    }
  }

  @Test func damagedBytesNeverTrap() throws {
    var state: UInt64 = 7
    for name in [
      "ycc420.jpg", "progressive.jpg", "restarts.jpg", "ycck.jpg", "palette.png", "interlaced.png",
    ] {
      let whole = try fixture(name)
      for _ in 0..<60 {
        var bytes = whole
        for _ in 0..<4 {
          state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
          bytes[Int(state >> 33) % bytes.count] = UInt8(truncatingIfNeeded: state >> 20)
        }
        // A header may by chance ask for a huge image; those are left out to keep the test fast.
        guard let info = try? ImageInfo(bytes), info.width * info.height < 1 << 20 else { continue }
        _ = try? Image(decoding: bytes)
      }
    }
  }

  @Test func whatIsNoImageIsRefused() throws {
    #expect(imagingError { try Image(decoding: []) }?.problem == "is empty")
    #expect(
      imagingError { try Image(decoding: Array("hello, I am a .jpg".utf8)) }?.problem
        == "is neither JPEG, PNG nor WebP")
    let gif = try #require(imagingError { try Image(decoding: Array("GIF89a and more".utf8)) })
    #expect(gif.problem == "is GIF, which cannot be read")
    #expect(ImageFormat.detect(Array("GIF89a".utf8)) == nil)
    #expect(
      imagingError { try Image(decoding: [0xFF, 0xD8, 0xFF]) }?.problem.contains("damaged JPEG") == true)
    let missing = try #require(imagingError { try Image(contentsOf: "/nowhere/dog.jpg") })
    #expect(missing.description.hasPrefix("/nowhere/dog.jpg: cannot read the file"))
    let outside = imagingError {
      try fixture("plain.png").withUnsafeBytes {
        try ImageDecoder.decode($0, region: Region(x: 50, y: 0, width: 4, height: 1), into: PixelBuffer())
      }
    }
    #expect(outside?.problem.contains("outside the 53×37 image") == true)
  }

  @Test func absurdDimensionsAreRefusedBeforeMemoryIsTaken() throws {
    var png = try fixture("plain.png")
    png.replaceSubrange(16..<24, with: [0x7F, 0xFF, 0xFF, 0xFF, 0x7F, 0xFF, 0xFF, 0xFF])
    #expect(
      imagingError { try Image(decoding: png) }?.problem.contains("more than the 268435456 accepted") == true)
    png.replaceSubrange(16..<24, with: [0, 0, 0, 0, 0, 0, 0, 1])
    #expect(imagingError { try Image(decoding: png) }?.problem.contains("0×1") == true)

    var jpeg = try fixture("ycc444.jpg")
    let frame = try #require(jpeg.indices.dropLast().first { jpeg[$0] == 0xFF && jpeg[$0 + 1] == 0xC0 })
    jpeg.replaceSubrange((frame + 5)..<(frame + 9), with: [0xFF, 0x00, 0xFF, 0x00])
    #expect(imagingError { try Image(decoding: jpeg) }?.problem.contains("65280×65280") == true)
  }

  @Test func threadsDecodeSideBySide() throws {
    let bytes = try fixture("ycc420.jpg")
    let expected = try Image(decoding: bytes)
    let results = Results(count: 64)
    DispatchQueue.concurrentPerform(iterations: 64) { index in
      let isDamaged = index % 3 == 0
      let image = try? Image(decoding: isDamaged ? Array(bytes.prefix(400)) : bytes)
      results.set(index, isDamaged ? image == nil : image == expected)
    }
    #expect(results.all)
  }
}

private final class Results: Sendable {
  private let values: Mutex<[Bool]>
  init(count: Int) { values = Mutex(Array(repeating: false, count: count)) }
  func set(_ index: Int, _ value: Bool) { values.withLock { $0[index] = value } }
  var all: Bool { values.withLock { $0.allSatisfy(\.self) } }
}

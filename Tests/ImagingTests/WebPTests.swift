import Foundation
import Imaging
import Testing

@Suite struct WebPTests {
  @Test(arguments: [
    ("lossy", ImageInfo.ColorSpace.ycc), ("lossless", .rgb), ("lossyalpha", .rgbAlpha),
    ("losslessalpha", .rgbAlpha),
  ])
  func itIsAsPillowSeesIt(name: String, colorSpace: ImageInfo.ColorSpace) throws {
    let bytes = try fixture(name + ".webp")
    let info = try ImageInfo(bytes)
    #expect(info.format == .webp && info.colorSpace == colorSpace)
    #expect((info.width, info.height) == (53, 37))
    let image = try Image(decoding: bytes)
    let difference = try #require(largestDifference(image.pixels, try fixture(name + ".rgb")))
    #expect(difference <= (name.hasPrefix("lossless") ? 0 : 1))
  }

  @Test(arguments: ["lossy.webp", "lossless.webp", "lossyalpha.webp"]) func aRegionIsTheCrop(name: String)
    throws
  {
    let bytes = try fixture(name)
    let whole = try Image(decoding: bytes)
    let part = PixelBuffer()
    for y in stride(from: 0, to: 37, by: 3) {
      for x in stride(from: 0, to: 53, by: 4) {
        for (width, height) in [(1, 1), (5, 3), (53 - x, 37 - y)] where x + width <= 53 && y + height <= 37 {
          let region = Region(x: x, y: y, width: width, height: height)
          _ = try bytes.withUnsafeBytes {
            try ImageDecoder.decode($0, region: region, scaleDenominator: 8, into: part)
          }
          #expect(part.image == (try whole.cropped(to: region)), "\(region)")
        }
      }
    }
  }

  @Test func anAnimationIsItsFirstImage() throws {
    let bytes = try fixture("animated.webp")
    let image = try Image(decoding: bytes)
    #expect((image.width, image.height) == (20, 14))
    #expect(image.pixels == (try fixture("animated.rgb")))
    let region = Region(x: 5, y: 3, width: 11, height: 7)
    let part = PixelBuffer()
    _ = try bytes.withUnsafeBytes {
      try ImageDecoder.decode($0, region: region, scaleDenominator: 1, into: part)
    }
    #expect(part.image == (try image.cropped(to: region)))
  }

  @Test(arguments: ["lossy.webp", "lossless.webp", "losslessalpha.webp", "animated.webp"])
  func everyPrefixIsAnError(
    name: String
  ) throws {
    let whole = try fixture(name)
    for count in 0..<(whole.count - 2) {
      let error = imagingError { try Image(decoding: Array(whole.prefix(count))) }
      #expect(error != nil, "\(name) \(count)")
    }
  }

  @Test func damagedBytesNeverTrap() throws {
    var state: UInt64 = 11
    for name in ["lossy.webp", "lossless.webp", "lossyalpha.webp", "animated.webp"] {
      let whole = try fixture(name)
      for _ in 0..<200 {
        var bytes = whole
        for _ in 0..<4 {
          state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
          bytes[Int(state >> 33) % bytes.count] = UInt8(truncatingIfNeeded: state >> 20)
        }
        guard let info = try? ImageInfo(bytes), info.width * info.height < 1 << 20 else { continue }
        if let image = try? Image(decoding: bytes) { #expect(image.width == info.width) }
      }
    }
  }
}

import Imaging
import Testing

@Suite struct ImageFiltersTests {
  private let source: Image
  /// Reference images, one after another.
  private let references: [[UInt8]]

  init() throws {
    source = Image(width: 61, height: 47, pixels: try fixture("source.rgb"))
    let (all, size) = (try fixture("filters.rgb"), source.pixels.count)
    references = stride(from: 0, to: all.count, by: size).map { Array(all[$0..<$0 + size]) }
    #expect(references.count == 5)
  }

  private func filtered(_ image: Image, _ body: (UnsafeMutablePointer<Float>) -> Void) -> Image {
    var values = image.pixels.map(Float.init)
    return values.withUnsafeMutableBufferPointer { buffer in
      if let base = buffer.baseAddress { body(base) }
      return Image(width: image.width, height: image.height, rounding: UnsafeBufferPointer(buffer))
    }
  }

  @Test(arguments: [(0, Float(0.1)), (1, 0.7), (2, 1.3), (3, 2)])
  func blurIsTorchvisions(number: Int, sigma: Float) throws {
    let found = filtered(source) {
      ImageFilters.gaussianBlur($0, width: source.width, height: source.height, sigma: sigma)
    }
    // A value that lies between two levels may be rounded to either.
    #expect(try #require(largestDifference(found.pixels, references[number])) <= 1)
    let differing = zip(found.pixels, references[number]).count { $0 != $1 }
    #expect(differing * 1000 < found.pixels.count)
  }

  @Test func solarizingIsPillows() {
    #expect(filtered(source) { ImageFilters.solarize($0, count: 61 * 47) }.pixels == references[4])
  }

  @Test func imagesSmallerThanTheBlurKeepTheirMean() throws {
    let small = Image(width: 2, height: 1, pixels: [0, 100, 200, 100, 200, 0])
    let found = filtered(small) { ImageFilters.gaussianBlur($0, width: 2, height: 1, sigma: 2) }
    for channel in 0..<3 {
      let sum = Int(found.pixels[channel]) + Int(found.pixels[3 + channel])
      #expect(abs(sum - Int(small.pixels[channel]) - Int(small.pixels[3 + channel])) <= 1)
      #expect(abs(Int(found.pixels[channel]) - Int(found.pixels[3 + channel])) <= 2)
    }
  }
}

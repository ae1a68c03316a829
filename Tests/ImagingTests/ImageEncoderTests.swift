import Foundation
import Imaging
import Testing

@Suite struct ImageEncoderTests {
  @Test func pngReturnsExactly() throws {
    let image = scene(width: 101, height: 33)
    #expect(try Image(decoding: image.png()) == image)
    let path = FileManager.default.temporaryDirectory.appendingPathComponent("peco-\(UUID().uuidString).png")
      .path
    defer { try? FileManager.default.removeItem(atPath: path) }
    try image.writePNG(to: path)
    #expect(try Image(contentsOf: path) == image)
    let error = imagingError { try image.writePNG(to: "/nowhere/figure.png") }
    #expect(error?.source == "/nowhere/figure.png")
  }

  @Test func jpegReturnsNearlyAndQualityTellsHowNearly() throws {
    let image = try scene(width: 101, height: 65).resized(width: 202, height: 130)
    func error(_ quality: Int, _ subsampling: ChromaSubsampling) throws -> (Double, Int) {
      let bytes = try image.jpeg(quality: quality, subsampling: subsampling)
      #expect(ImageFormat.detect(bytes) == .jpeg)
      let again = try Image(decoding: bytes)
      let sum = zip(again.pixels, image.pixels).reduce(0) { $0 + abs(Int($1.0) - Int($1.1)) }
      return (Double(sum) / Double(image.pixels.count), bytes.count)
    }
    let (fine, fineSize) = try error(98, .full444)
    let (halved, halvedSize) = try error(98, .half420)
    let (coarse, coarseSize) = try error(30, .half420)
    #expect(fine < 1.5)
    #expect(fine < halved && halved < coarse)
    #expect(fineSize > halvedSize && halvedSize > coarseSize)
    #expect(imagingError { try image.jpeg(quality: 0) }?.problem.contains("quality is 0") == true)
    #expect(imagingError { try Image(width: 0, height: 0).jpeg() } != nil)
  }
}

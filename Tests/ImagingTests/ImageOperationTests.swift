import Foundation
import Imaging
import Testing

/// RandAugment's operations against Pillow's, pixel by pixel.
@Suite struct ImageOperationTests {
  private static let operations: [ImageOperation] = [
    .autoContrast, .equalize, .invert, .rotate(17.3), .rotate(-25), .posterize(bits: 1), .posterize(bits: 2),
    .posterize(bits: 4), .solarize(threshold: 26), .solarize(threshold: 150), .solarizeAdd(99), .color(1.81),
    .color(0.19), .contrast(1.75), .contrast(0.3), .brightness(1.6), .brightness(0.4), .sharpness(1.9),
    .sharpness(0.2), .shearX(0.27), .shearY(-0.21), .translateX(0.4), .translateY(-0.33),
  ]

  @Test(arguments: operations.indices)
  func givesPillowsPixels(_ index: Int) throws {
    let url = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
      .appendingPathComponent("Fixtures/operations.rgb")
    let data = [UInt8](try Data(contentsOf: url))
    let (width, height) = (31, 23)
    let size = width * height * 3
    try #require(data.count == size * (Self.operations.count + 1))
    let source = Image(width: width, height: height, pixels: Array(data[..<size]))
    let expected = Array(data[(index + 1) * size..<(index + 2) * size])
    let found = source.applying(Self.operations[index], fill: (124, 116, 104))
    #expect(found.pixels != source.pixels)
    let differing = zip(found.pixels, expected).filter { $0 != $1 }
    #expect(differing.isEmpty, "\(Self.operations[index]): \(differing.count) values differ")
  }
}

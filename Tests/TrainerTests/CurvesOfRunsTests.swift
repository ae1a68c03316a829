import Foundation
import Imaging
import TestSupport
import Testing
import Trainer
import Visualization

@Suite struct CurvesOfRunsTests {
  /// Pixels of about this color.
  private func count(_ image: Image, _ red: Int, _ green: Int, _ blue: Int, within tolerance: Int = 40) -> Int
  {
    stride(from: 0, to: image.pixels.count, by: 3).reduce(0) { count, place in
      let wanted = [red, green, blue]
      let isNear = (0..<3).allSatisfy { abs(Int(image.pixels[place + $0]) - wanted[$0]) <= tolerance }
      return count + (isNear ? 1 : 0)
    }
  }

  private func lines(_ folder: String, _ values: [Double]) throws -> [MetricsLine] {
    let path = "\(folder)/\(UUID().uuidString).jsonl"
    let writer = try MetricsWriter(path: path)
    for (index, value) in values.enumerated() {
      try writer.write(
        Metrics(
          step: index + 1, epoch: 0, loss: value, learningRate: 1e-3, gradientNorm: .nan,
          imagesPerSecond: 1, seconds: 1))
    }
    return try MetricsLine.read(path)
  }

  @Test func drawsACurveARun() throws {
    try withTemporaryFolder { folder in
      let falling = try lines(folder, (0..<400).map { 5 * exp(-Double($0) / 100) })
      let flat = try lines(folder, (0..<400).map { _ in 2 })
      let one = CurveFigure(runs: [("first", falling)], names: ["loss", "nothing", "gradient_norm"])
      #expect(one.panels.map(\.title) == ["loss"])
      let both = CurveFigure(
        runs: [("first", falling), ("second", flat)], names: ["loss", "accuracy", "learning_rate"])
      #expect(both.panels.map(\.title) == ["loss", "learning rate"])

      let image = one.image(width: 600, panelHeight: 240)
      #expect(image.width == 600 && image.height == 240)
      let blue = count(image, 0, 114, 178)
      #expect(blue > 500 && blue < 4000)
      #expect(count(image, 213, 94, 0) == 0)
      #expect(count(image, 30, 30, 30, within: 10) > 200)
      let image2 = both.image(width: 600, panelHeight: 240)
      #expect(image2.height == 480 && count(image2, 213, 94, 0) > 500)
      // The file is an image that others can read.
      try image.writePNG(to: folder + "/figure.png")
      #expect(try Image(contentsOf: folder + "/figure.png") == image)
    }
  }
}

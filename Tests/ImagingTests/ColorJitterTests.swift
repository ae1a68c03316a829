import Imaging
import Testing

@Suite struct ColorJitterTests {
  private struct Case: Decodable {
    struct Step: Decodable {
      let name: String
      let factor: Float
    }
    let steps: [Step]
  }

  @Test func adjustmentsAreTorchvisions() throws {
    let source = Image(width: 61, height: 47, pixels: try fixture("source.rgb"))
    var expected = try fixture("colors.rgb")[...]
    for item in try fixtureCases("colors", as: Case.self) {
      let steps = item.steps.map { step -> ColorAdjustment in
        switch step.name {
        case "brightness": .brightness(step.factor)
        case "contrast": .contrast(step.factor)
        case "saturation": .saturation(step.factor)
        default: .hue(step.factor)
        }
      }
      let reference = Array(expected.prefix(source.pixels.count))
      expected = expected.dropFirst(source.pixels.count)
      let difference = try #require(largestDifference(source.adjusted(steps).pixels, reference))
      // Pillow cuts to whole levels after every step.
      #expect(difference <= steps.count, "\(item)")
    }
    #expect(expected.isEmpty)
  }

  @Test func normalizingIsPerChannel() throws {
    var pixels: [Float] = [0, 127.5, 255, 255, 0, 51]
    pixels.withUnsafeMutableBufferPointer {
      guard let base = $0.baseAddress else { return }
      ColorJitter.normalize(base, count: 2, mean: [0.5, 0.25, 0], deviation: [0.5, 0.25, 2])
    }
    let expected: [Float] = [-1, 1, 0.5, 1, -1, 0.1]
    #expect(zip(pixels, expected).allSatisfy { abs($0 - $1) < 1e-6 })
  }
}

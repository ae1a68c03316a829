import Preparation
import Testing

@Suite struct SyntheticImageTests {
  @Test func aImageDependsOnSeedAndIndexAlone() {
    let image = SyntheticImage(size: 32, seed: 1)
    #expect(image.draw(7) == SyntheticImage(size: 32, seed: 1).draw(7))
    #expect(image.draw(7) != image.draw(17))
    #expect(image.draw(7) != SyntheticImage(size: 32, seed: 2).draw(7))
    #expect(image.draw(0).count == 32 * 32 * 3)
  }

  @Test func classesAreSortedAndBalanced() {
    #expect(SyntheticImage.classes == SyntheticImage.classes.sorted())
    let labels = (0..<50).map(SyntheticImage.label)
    #expect((0..<10).allSatisfy { label in labels.filter { $0 == label }.count == 5 })
  }

  @Test func shapesStandOutFromTheGround() {
    // Every image has both dark and light parts: a figure that can be told from its ground.
    let image = SyntheticImage(size: 48, seed: 3)
    for index in 0..<40 {
      let pixels = image.draw(index)
      var (sum, squares): (Float, Float) = (0, 0)
      for pixel in stride(from: 0, to: pixels.count, by: 3) {
        let color = SIMD3<Float>(Float(pixels[pixel]), Float(pixels[pixel + 1]), Float(pixels[pixel + 2]))
        let luma = (color * SIMD3(0.299, 0.587, 0.114)).sum()
        sum += luma
        squares += luma * luma
      }
      let count = Float(pixels.count / 3)
      let deviation = (squares / count - sum / count * sum / count).squareRoot()
      #expect(deviation > 10, "image \(index)")
    }
  }
}

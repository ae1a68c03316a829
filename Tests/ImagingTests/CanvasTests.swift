import Imaging
import Testing

@Suite struct CanvasTests {
  @Test func gridPlacesImagesWithMargins() {
    let red = Image(width: 2, height: 2, color: (255, 0, 0))
    let blue = Image(width: 1, height: 2, color: (0, 0, 255))
    let grid = Image.grid([red, blue, red], columns: 2, margin: 1)
    #expect((grid.width, grid.height) == (7, 7))
    func pixel(_ x: Int, _ y: Int) -> [UInt8] {
      Array(grid.pixels[((y * 7 + x) * 3)..<((y * 7 + x) * 3 + 3)])
    }
    let white: [UInt8] = [255, 255, 255]
    #expect(pixel(0, 0) == white)
    #expect(pixel(1, 1) == [255, 0, 0] && pixel(2, 2) == [255, 0, 0])
    #expect(pixel(3, 1) == white)
    #expect(pixel(4, 1) == [0, 0, 255] && pixel(5, 1) == white)
    #expect(pixel(1, 4) == [255, 0, 0] && pixel(4, 4) == white)
    #expect((Image.grid([], columns: 3, margin: 1).width) > 0)
  }

  @Test func placingCutsAtTheEdges() {
    let image = scene(width: 4, height: 4)
    var canvas = Canvas(width: 3, height: 3, background: (0, 0, 0))
    canvas.place(image, x: -2, y: -3)
    canvas.place(image, x: 2, y: 2)
    canvas.place(image, x: 3, y: 0)
    canvas.place(image, x: -4, y: 0)
    #expect(Array(canvas.image.pixels[0..<3]) == Array(image.pixels[(3 * 4 + 2) * 3..<(3 * 4 + 3) * 3]))
    #expect(Array(canvas.image.pixels[24..<27]) == Array(image.pixels[0..<3]))
    #expect(Array(canvas.image.pixels[6..<24]).allSatisfy { $0 == 0 })
  }

  @Test func enlargingRepeatsPixels() {
    let image = Image(width: 2, height: 1, pixels: [1, 2, 3, 4, 5, 6])
    #expect(
      image.enlarged(by: 2)
        == Image(
          width: 4, height: 2,
          pixels: [1, 2, 3, 1, 2, 3, 4, 5, 6, 4, 5, 6, 1, 2, 3, 1, 2, 3, 4, 5, 6, 4, 5, 6]))
  }
}

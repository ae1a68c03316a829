/// An image to place others on, for figures.
public struct Canvas: Sendable {
  public private(set) var image: Image

  public init(width: Int, height: Int, background: (UInt8, UInt8, UInt8) = (255, 255, 255)) {
    image = Image(width: width, height: height, color: background)
  }

  /// Draws an image with its upper left corner at (x, y); what lies outside the canvas is cut off.
  public mutating func place(_ drawn: Image, x: Int, y: Int) {
    let columns = max(0, -x)..<max(max(0, -x), min(drawn.width, image.width - x))
    guard !columns.isEmpty else { return }
    for row in 0..<drawn.height where (0..<image.height).contains(y + row) {
      let from = (row * drawn.width + columns.lowerBound) * 3
      let to = ((y + row) * image.width + x + columns.lowerBound) * 3
      image.pixels.replaceSubrange(
        to..<(to + columns.count * 3), with: drawn.pixels[from..<(from + columns.count * 3)])
    }
  }
}

extension Image {
  /// Images in rows of `columns`, each in a cell of the largest one's size, with a margin around every cell.
  public static func grid(
    _ images: [Image], columns: Int, margin: Int = 2,
    background: (UInt8, UInt8, UInt8) = (255, 255, 255)
  ) -> Image {
    precondition(columns > 0 && margin >= 0, "a grid has columns, and no negative margin")
    let cellWidth = (images.map(\.width).max() ?? 0) + margin
    let cellHeight = (images.map(\.height).max() ?? 0) + margin
    let rows = (images.count + columns - 1) / columns
    var canvas = Canvas(
      width: columns * cellWidth + margin, height: rows * cellHeight + margin, background: background)
    for (index, image) in images.enumerated() {
      canvas.place(
        image, x: margin + index % columns * cellWidth, y: margin + index / columns * cellHeight)
    }
    return canvas.image
  }

  /// The image with every pixel made a square of `factor` × `factor`.
  public func enlarged(by factor: Int) -> Image {
    precondition(factor > 0, "the factor is 1 or more")
    var result = Image(width: width * factor, height: height * factor)
    result.pixels.withUnsafeMutableBufferPointer { target in
      for row in 0..<(height * factor) {
        for column in 0..<(width * factor) {
          for channel in 0..<3 {
            target[(row * width * factor + column) * 3 + channel] =
              pixels[(row / factor * width + column / factor) * 3 + channel]
          }
        }
      }
    }
    return result
  }
}

import Imaging

/// Draws lines and letters into an image.
package struct Painter {
  /// A color, 0 to 255 a channel.
  package struct Color {
    package let red: UInt8
    package let green: UInt8
    package let blue: UInt8

    package init(red: UInt8, green: UInt8, blue: UInt8) {
      (self.red, self.green, self.blue) = (red, green, blue)
    }

    package static let black = Color(red: 30, green: 30, blue: 30)
    package static let gray = Color(red: 220, green: 220, blue: 220)
    package static let yellow = Color(red: 255, green: 221, blue: 0)
  }

  package private(set) var image: Image

  init(width: Int, height: Int) { image = Image(width: width, height: height, color: (255, 255, 255)) }

  /// Draws on an image that is there.
  package init(on image: Image) { self.image = image }

  /// Fills a rectangle; what lies outside the image is cut off.
  package mutating func rectangle(x: Int, y: Int, width: Int, height: Int, color: Color, opacity: Double = 1)
  {
    for row in y..<y + height { for column in x..<x + width { blend(column, row, color, opacity) } }
  }

  /// Draws the edge of a rectangle, `thickness` pixels to its inside.
  package mutating func outline(x: Int, y: Int, width: Int, height: Int, thickness: Int, color: Color) {
    for (left, top, across, down) in [
      (x, y, width, thickness), (x, y + height - thickness, width, thickness), (x, y, thickness, height),
      (x + width - thickness, y, thickness, height),
    ] {
      rectangle(x: left, y: top, width: across, height: down, color: color)
    }
  }

  /// Draws a line with soft edges between two points, in pixels from the upper left corner.
  mutating func line(
    from start: (x: Double, y: Double), to end: (x: Double, y: Double), width: Double = 1, color: Color,
    opacity: Double = 1
  ) {
    let (dx, dy) = (end.x - start.x, end.y - start.y)
    let length = dx * dx + dy * dy
    let reach = width / 2 + 1
    let columns = pixels(min(start.x, end.x) - reach, max(start.x, end.x) + reach, of: image.width)
    for row in pixels(min(start.y, end.y) - reach, max(start.y, end.y) + reach, of: image.height) {
      for column in columns {
        let (px, py) = (Double(column) + 0.5 - start.x, Double(row) + 0.5 - start.y)
        let along = length > 0 ? max(0, min(1, (px * dx + py * dy) / length)) : 0
        let (ox, oy) = (px - along * dx, py - along * dy)
        let coverage = width / 2 + 0.5 - (ox * ox + oy * oy).squareRoot()
        if coverage > 0 { blend(column, row, color, min(1, coverage) * opacity) }
      }
    }
  }

  /// Draws a line through points; one without a finite place interrupts it.
  mutating func path(_ points: [(x: Double, y: Double)], width: Double, color: Color, opacity: Double = 1) {
    let isFinite = points.map { $0.x.isFinite && $0.y.isFinite }
    for i in points.indices where isFinite[i] {
      if i > 0, isFinite[i - 1] {
        line(from: points[i - 1], to: points[i], width: width, color: color, opacity: opacity)
      } else if i + 1 == points.count || !isFinite[i + 1] {
        line(from: points[i], to: points[i], width: width + 2, color: color, opacity: opacity)
      }
    }
  }

  /// Writes a line of text, its upper left corner at (x, y), each dot of a letter `scale` pixels wide.
  mutating func text(_ text: String, x: Int, y: Int, scale: Int = 2, color: Color = .black) {
    for (place, letter) in text.unicodeScalars.enumerated() {
      for (column, bits) in BitmapFont.columns(of: letter).enumerated() {
        for row in 0..<BitmapFont.height where bits >> row & 1 == 1 {
          let left = x + (place * BitmapFont.advance + column) * scale
          for dy in 0..<scale { for dx in 0..<scale { blend(left + dx, y + row * scale + dy, color, 1) } }
        }
      }
    }
  }

  /// How wide `text` draws a line, in pixels.
  static func width(of text: String, scale: Int = 2) -> Int {
    max(0, text.unicodeScalars.count * BitmapFont.advance - 1) * scale
  }

  private func pixels(_ low: Double, _ high: Double, of size: Int) -> Range<Int> {
    let first = Int(max(0, min(Double(size), low.rounded(.down))))
    return first..<max(first, Int(max(0, min(Double(size), high.rounded(.up)))))
  }

  private mutating func blend(_ x: Int, _ y: Int, _ color: Color, _ opacity: Double) {
    guard x >= 0, y >= 0, x < image.width, y < image.height else { return }
    let place = (y * image.width + x) * 3
    for (channel, wanted) in [color.red, color.green, color.blue].enumerated() {
      let present = Double(image.pixels[place + channel])
      image.pixels[place + channel] = UInt8((present + (Double(wanted) - present) * opacity).rounded())
    }
  }
}

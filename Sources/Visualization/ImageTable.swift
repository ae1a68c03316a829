import Imaging

/// Images in rows and columns, headings above and captions to the left: what the figures of papers are.
public struct ImageTable: Sendable {
  /// Images side by side.
  public struct Row: Sendable {
    /// Lines to the left of them.
    public let caption: [String]
    /// From left to right.
    public let images: [Image]

    public init(caption: [String] = [], images: [Image]) {
      self.caption = caption
      self.images = images
    }
  }

  /// What stands above each column; none for no headings.
  public let headings: [String]
  /// From top to bottom.
  public let rows: [Row]

  /// Pixels from one cell to the next, and around all.
  private static let margin = 6
  /// Pixels from one line of text to the next.
  private static let lineHeight = 18

  public init(headings: [String] = [], rows: [Row]) {
    self.headings = headings
    self.rows = rows
  }

  /// Every cell has the size of the largest image.
  private var cell: (width: Int, height: Int) {
    let images = rows.flatMap(\.images)
    return (images.map(\.width).max() ?? 0, images.map(\.height).max() ?? 0)
  }

  private var columns: Int { max(headings.count, rows.map(\.images.count).max() ?? 0) }

  private var captionWidth: Int {
    rows.flatMap(\.caption).map { Painter.width(of: $0) + Self.margin }.max() ?? 0
  }

  /// Each heading, broken into lines that fit above its column.
  private var headingLines: [[String]] {
    headings.map { Self.lines($0, atMost: max(4, (cell.width + 2) / (BitmapFont.advance * 2))) }
  }

  /// Where a cell's image has its upper left corner.
  public func origin(row: Int, column: Int) -> (x: Int, y: Int) {
    let heading = (headingLines.map(\.count).max() ?? 0) * Self.lineHeight
    return (
      Self.margin + captionWidth + column * (cell.width + Self.margin),
      Self.margin + heading + row * (cell.height + Self.margin)
    )
  }

  /// The table as an image.
  public func image() -> Image {
    let end = origin(row: rows.count, column: columns)
    var canvas = Canvas(width: max(end.x, 1), height: max(end.y, 1))
    for (row, content) in rows.enumerated() {
      for (column, image) in content.images.enumerated() {
        let (x, y) = origin(row: row, column: column)
        canvas.place(image, x: x, y: y)
      }
    }
    var painter = Painter(on: canvas.image)
    for (column, lines) in headingLines.enumerated() {
      let (x, top) = origin(row: 0, column: column)
      for (line, text) in lines.enumerated() {
        painter.text(text, x: x, y: top - (lines.count - line) * Self.lineHeight)
      }
    }
    for (row, content) in rows.enumerated() {
      let top = origin(row: row, column: 0).y
      for (line, text) in content.caption.enumerated() {
        painter.text(text, x: Self.margin, y: top + line * Self.lineHeight)
      }
    }
    return painter.image
  }

  /// Breaks a text into lines of at most `limit` letters, after a space or a sign where one is near.
  static func lines(_ text: String, atMost limit: Int) -> [String] {
    var rest = Substring(text)
    var lines: [String] = []
    while rest.count > limit {
      let most = rest.prefix(limit)
      // A line is at least half full.
      let end = most.indices.last {
        "-_/. ".contains(most[$0]) && most.distance(from: most.startIndex, to: $0) * 2 >= limit
      }
      let line = end.map { rest[...$0] } ?? most
      lines.append(String(line))
      rest = rest[line.endIndex...]
    }
    return lines + [String(rest)]
  }
}

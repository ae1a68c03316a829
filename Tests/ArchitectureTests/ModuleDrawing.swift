import Foundation

/// `docs/modules.svg`: the declared modules on their floors, and what each needs.
///
/// An arrow that follows from others is left out: one draws A → C only where no B lies between. Where each box and
/// arrow goes depends on the declarations alone, so that the drawing changes with them.
struct ModuleDrawing {
  private let graph: ModuleGraph
  private let layout: ModuleLayout
  private let lines: [String: Int]

  /// A number of lines in the drawing, and whose it is.
  nonisolated(unsafe) static let count = /<text data-module="(\w+)"([^>]*)>([\d ]+) lines/

  init(_ graph: ModuleGraph) throws {
    self.graph = graph
    layout = ModuleLayout(graph)
    lines = try Dictionary(uniqueKeysWithValues: graph.modules.map { ($0.name, try graph.lines(of: $0)) })
  }

  /// A drawing without its numbers of lines, which change with every edit.
  static func structure(of svg: String) -> String {
    svg.replacing(count) { "<text data-module=\"\($0.output.1)\"\($0.output.2)>lines" }
  }

  private let left = 176.0
  private let top = 84.0
  private let rowHeight = 70.0
  private let boxHeight = 40.0
  private var width: Double { left + layout.width + 24 }
  private var height: Double { top + Double(layout.rows) * rowHeight + 16 }

  /// The top of a row's boxes; the highest row is drawn first.
  private func y(_ row: Int) -> Double {
    top + Double(layout.rows - 1 - row) * rowHeight + (rowHeight - boxHeight) / 2
  }

  var svg: String {
    let total = lines.values.reduce(0, +)
    var parts = [
      """
      <svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 \(n(width)) \(n(height))" width="\(n(width))" \
      height="\(n(height))" role="img" aria-labelledby="title description" \
      font-family="Helvetica, Arial, sans-serif" font-size="14" fill="#1f2933">
        <title id="title">The modules of PeCo</title>
        <desc id="description">Each module on its floor, with an arrow to each module that it needs.</desc>
        <defs>
          <marker id="arrow" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="6" markerHeight="6" orient="auto">
            <path d="M0 0 L10 5 L0 10 z" fill="#52606d"/>
          </marker>
        </defs>
        <rect width="\(n(width))" height="\(n(height))" fill="#ffffff"/>
        <text x="24" y="34" font-size="18" font-weight="bold">The modules of PeCo</text>
        <text data-module="total" x="24" y="58" fill="#52606d">\(Self.rounded(total)) lines in \
      \(graph.modules.count) modules. An arrow goes to what a module needs; one that follows from others is left \
      out.</text>
        <rect x="\(n(width - 206))" y="22" width="84" height="24" rx="6" fill="#ffffff" stroke="#3e4c59"/>
        <text x="\(n(width - 164))" y="39" text-anchor="middle" font-size="13">Swift</text>
        <rect x="\(n(width - 108))" y="22" width="84" height="24" rx="6" fill="#fff7e6" stroke="#b4821a"/>
        <text x="\(n(width - 66))" y="39" text-anchor="middle" font-size="13">C</text>
      """
    ]
    for (index, floor) in graph.floors.enumerated() {
      let rows = layout.rows(of: floor.number)
      let upper = y(rows.upperBound) - (rowHeight - boxHeight) / 2 + 4
      let lower = y(rows.lowerBound) + (rowHeight + boxHeight) / 2 - 4
      parts.append(
        """
          <rect x="12" y="\(n(upper))" width="\(n(width - 24))" height="\(n(lower - upper))" rx="8" \
        fill="\(index.isMultiple(of: 2) ? "#eef6fc" : "#f5f7fa")"/>
          <text x="24" y="\(n(upper + 24))" font-weight="bold">floor \(floor.number)</text>
        """)
      for (line, text) in wrapped(floor.title, characters: 19).enumerated() {
        parts.append(
          """
            <text x="24" y="\(n(upper + 42 + 16 * Double(line)))" font-size="12" fill="#52606d">\(text)</text>
          """)
      }
    }
    for edge in layout.edges { parts.append(path(edge)) }
    for module in graph.modules { parts.append(box(module)) }
    return parts.joined(separator: "\n") + "\n</svg>\n"
  }

  private func box(_ module: ModuleGraph.Module) -> String {
    let place = layout.places[module.name]!
    let (x, y) = (left + place.center - place.width / 2, y(place.row))
    let isC = module.folder.hasPrefix("Sources/C/")
    let needs = module.dependencies.sorted().joined(separator: ", ")
    return """
        <g>
          <title>\(module.name)\(needs.isEmpty ? "" : ": \(needs)")</title>
          <rect x="\(n(x))" y="\(n(y))" width="\(n(place.width))" height="\(n(boxHeight))" rx="6" \
      fill="\(isC ? "#fff7e6" : "#ffffff")" stroke="\(isC ? "#b4821a" : "#3e4c59")" stroke-width="1.2"/>
          <text x="\(n(left + place.center))" y="\(n(y + 18))" text-anchor="middle" \
      font-size="13" font-weight="bold">\(module.name)</text>
          <text data-module="\(module.name)" x="\(n(left + place.center))" y="\(n(y + 33))" \
      text-anchor="middle" font-size="11" fill="#52606d">\(Self.rounded(lines[module.name]!)) lines</text>
        </g>
      """
  }

  /// A line from the lower edge of a box to the upper edge of another; straight through the rows between them.
  private func path(_ edge: ModuleLayout.Edge) -> String {
    var text = ""
    for (index, point) in edge.points.enumerated() {
      let x = left + point.x
      let (above, below) = (y(point.row) - 4, y(point.row) + boxHeight + 4)
      if index == 0 {
        text = "M\(n(x)) \(n(below - 4))"
        continue
      }
      let previous = edge.points[index - 1]
      let from = (x: left + previous.x, y: y(previous.row) + boxHeight + (index == 1 ? 0 : 4))
      let isLast = index + 1 == edge.points.count
      let to = isLast ? above + 4 : above
      let bend = (to - from.y) * 0.55
      text += " C\(n(from.x)) \(n(from.y + bend)) \(n(x)) \(n(to - bend)) \(n(x)) \(n(to))"
      if !isLast { text += " L\(n(x)) \(n(below))" }
    }
    return """
        <path d="\(text)" fill="none" stroke="#52606d" stroke-width="1.2" marker-end="url(#arrow)"/>
      """
  }

  /// Whole tenths; the same on every machine.
  private func n(_ value: Double) -> String {
    let tenths = Int((value * 10).rounded())
    return tenths % 10 == 0 ? "\(tenths / 10)" : "\(tenths / 10).\(abs(tenths % 10))"
  }

  /// A number of lines to the next ten below a hundred, else to the next hundred.
  private static func rounded(_ lines: Int) -> String {
    let unit = lines < 100 ? 10 : 100
    let number = String((lines + unit / 2) / unit * unit)
    return number.count < 4 ? number : number.dropLast(3) + " " + number.suffix(3)
  }

  private func wrapped(_ text: String, characters: Int) -> [String] {
    text.split(separator: " ").reduce(into: [String]()) { lines, word in
      if let last = lines.last, last.count + word.count < characters {
        lines[lines.count - 1] = last + " " + word
      } else {
        lines.append(String(word))
      }
    }
  }
}

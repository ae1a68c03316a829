import Foundation
import Imaging

/// A figure of curves over steps, one panel below the other.
public struct CurveFigure: Sendable {
  /// One line of a panel.
  public struct Curve: Sendable {
    /// What the legend calls it.
    public let name: String
    /// Its points from left to right; those that are not finite interrupt the line.
    public let points: [(x: Double, y: Double)]

    public init(name: String, points: [(x: Double, y: Double)]) {
      self.name = name
      self.points = points
    }
  }

  /// Curves that share their axes.
  public struct Panel: Sendable {
    /// What is measured, written above.
    public let title: String
    /// Its curves.
    public let curves: [Curve]

    public init(title: String, curves: [Curve]) {
      self.title = title
      self.curves = curves
    }
  }

  /// The panels from top to bottom.
  public let panels: [Panel]

  public init(panels: [Panel]) { self.panels = panels }

  /// The figure as an image.
  public func image(width: Int = 960, panelHeight: Int = 320) -> Image {
    var painter = Painter(width: max(width, 320), height: max(panelHeight, 160) * max(panels.count, 1))
    for (index, panel) in panels.enumerated() {
      let height = max(panelHeight, 160)
      draw(panel, top: index * height, height: height, into: &painter)
    }
    return painter.image
  }

  // Okabe and Ito's colors, told apart by people who see fewer of them.
  private static let colors: [Painter.Color] = [
    .init(red: 0, green: 114, blue: 178), .init(red: 213, green: 94, blue: 0),
    .init(red: 0, green: 158, blue: 115), .init(red: 204, green: 121, blue: 167),
    .init(red: 230, green: 159, blue: 0), .init(red: 86, green: 180, blue: 233),
  ]

  private func draw(_ panel: Panel, top: Int, height: Int, into painter: inout Painter) {
    let points = panel.curves.flatMap(\.points).filter { $0.x.isFinite && $0.y.isFinite }
    let x = Axis(points.map(\.x), least: 1)
    let y = Axis(points.map(\.y), least: 1e-12)
    let left = 20 + (y.labels.map { Painter.width(of: $0) }.max() ?? 0)
    let area = (left: left, top: top + 36, right: painter.image.width - 24, bottom: top + height - 36)
    func place(_ point: (x: Double, y: Double)) -> (x: Double, y: Double) {
      (
        Double(area.left) + x.part(of: point.x) * Double(area.right - area.left),
        Double(area.bottom) - y.part(of: point.y) * Double(area.bottom - area.top)
      )
    }

    painter.text(panel.title, x: area.left, y: top + 12)
    for (tick, label) in zip(y.ticks, y.labels) {
      let (_, row) = place((0, tick))
      painter.line(
        from: (Double(area.left), row), to: (Double(area.right), row), color: .gray)
      painter.text(label, x: area.left - 8 - Painter.width(of: label), y: Int(row) - 7)
    }
    for (tick, label) in zip(x.ticks, x.labels) {
      let (column, _) = place((tick, 0))
      painter.line(from: (column, Double(area.top)), to: (column, Double(area.bottom)), color: .gray)
      let labelWidth = Painter.width(of: label)
      let start = min(Int(column) - labelWidth / 2, painter.image.width - labelWidth - 4)
      painter.text(label, x: start, y: area.bottom + 10)
    }

    var legend = area.right
    for (index, curve) in panel.curves.enumerated() {
      let color = Self.colors[index % Self.colors.count]
      let smooth = Self.smoothed(curve.points)
      painter.path(curve.points.map(place), width: 1.5, color: color, opacity: smooth == nil ? 1 : 0.3)
      if let smooth { painter.path(smooth.map(place), width: 2, color: color) }
      guard panel.curves.count > 1 else { continue }
      legend -= Painter.width(of: curve.name) + 18
      painter.text(curve.name, x: legend, y: top + 12, color: color)
    }
  }

  /// A moving average over the curve's hundredth part, where it has enough points to be noisy.
  private static func smoothed(_ points: [(x: Double, y: Double)]) -> [(x: Double, y: Double)]? {
    let window = Double(points.count / 100)
    guard window >= 2 else { return nil }
    var average: Double?
    return points.map { point in
      guard point.y.isFinite else {
        average = nil
        return point
      }
      let next = average.map { $0 + (point.y - $0) / window } ?? point.y
      average = next
      return (point.x, next)
    }
  }
}

/// A range of values and the round numbers in it.
private struct Axis {
  let low: Double
  let high: Double
  let ticks: [Double]
  let labels: [String]

  /// An axis for values; `least` is the smallest stretch that it spans.
  init(_ values: [Double], least: Double) {
    // Differences of larger ones would not be finite.
    let values = values.filter { abs($0) < 1e150 }
    var low = values.min() ?? 0
    var high = values.max() ?? 1
    if high - low < max(least, abs(high) * 1e-9) {
      let margin = max(least, abs(high) * 0.1) / 2
      (low, high) = (low - margin, high + margin)
    }
    // Of the steps 1, 2 and 5 times a power of ten, the one that makes about five.
    let rough = (high - low) / 5
    let power = pow(10, log10(rough).rounded(.down))
    let step = [1, 2, 5, 10].map { $0 * power }.first { $0 >= rough * 0.999 } ?? 10 * power
    self.low = low
    self.high = high
    let first = (low / step).rounded(.up)
    let last = (high / step).rounded(.down)
    ticks = stride(from: first, through: last, by: 1).map { $0 * step }
    labels = ticks.map { Self.label($0, step: step) }
  }

  /// Where a value lies, from 0 to 1.
  func part(of value: Double) -> Double { (value - low) / (high - low) }

  private static func label(_ value: Double, step: Double) -> String {
    if value == 0 { return "0" }
    if abs(value) >= 1e6 || step < 1e-6 { return String(format: "%.3g", value) }
    return String(format: "%.\(max(0, Int((-log10(step)).rounded(.up))))f", value)
  }
}

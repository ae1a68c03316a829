import Foundation
import Visualization

extension CurveFigure {
  /// A figure of runs' metrics, a panel a metric, a curve a run.
  ///
  /// - Parameters:
  ///   - runs: The runs and their metrics.
  ///   - names: The metrics to show; those that no run has are left out.
  package init(runs: [(name: String, lines: [MetricsLine])], names: [String]) {
    let panels = names.compactMap { name in
      let curves = runs.filter { $0.lines.contains { $0[name] != nil } }.map { run in
        Curve(name: run.name, points: run.lines.map { (Double($0.step), $0[name] ?? .nan) })
      }
      return curves.isEmpty
        ? nil : Panel(title: name.replacingOccurrences(of: "_", with: " "), curves: curves)
    }
    self.init(panels: panels)
  }
}

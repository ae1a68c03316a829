import ArgumentParser
import Imaging
import TaskSupport
import Tasks
import Terminal
import Trainer
import Visualization

/// `peco figure curves`: metrics of several runs, over their steps.
struct CurvesFigureCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "curves",
    abstract: "Draws metrics of several runs over their steps.",
    discussion: """
      Example:
        peco figure curves --run runs/a --run runs/b \\
          --metrics loss accuracy --output curves.png
      """)

  @Option(
    name: .customLong("run"),
    help: ArgumentHelp("A run; may be given many times. There is no default.", valueName: "run"),
    completion: .directory)
  var runs: [String] = []
  @Option(
    help: ArgumentHelp(
      "A curve's name, once for each run; by default the run's directory.", valueName: "text"))
  var label: [String] = []
  @Option(
    parsing: .upToNextOption,
    help: ArgumentHelp(
      "Which metrics, as in metrics.jsonl; by default the loss and those that tell most.", valueName: "name"))
  var metrics: [String] = []
  @Option(help: ArgumentHelp("Where to write the figure.", valueName: "file.png"), completion: .png)
  var output: String

  func validate() throws {
    guard !runs.isEmpty else { throw ValidationError("give at least one --run") }
  }

  func run() throws {
    let names = try figureLabels(label, for: runs, option: "run")
    let curves = try zip(names, runs).map { ($0, try RunReport.lines(of: $1)) }
    let shown = metrics.isEmpty ? ["loss"] + TaskRegistry.headlines : metrics
    for metric in metrics where !curves.contains(where: { $0.1.contains { $0[metric] != nil } }) {
      throw RunError("no run has the metric '\(metric)'; peco report lists those they have")
    }
    try ImageTable.requireOutput(output, madeFrom: runs)
    try CurveFigure(runs: curves, names: shown).image().writePNG(to: output)
  }
}

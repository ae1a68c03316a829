import ArgumentParser
import Tasks
import Terminal
import Trainer

/// `peco report`: where runs ended.
struct ReportCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "report",
    abstract: "Prints the progress, time and last metrics of training runs.",
    discussion: """
      Example:
        peco report runs/quickstart/tokenizer runs/quickstart/pretrain \\
          --metrics loss accuracy
      """)

  @Argument(help: ArgumentHelp("The runs' directories.", valueName: "run"), completion: .directory)
  var runs: [String]
  @Option(
    parsing: .upToNextOption,
    help: ArgumentHelp(
      "Which metrics, as in metrics.jsonl; by default all that the runs have.", valueName: "name"))
  var metrics: [String] = []
  @Flag(help: "Print one JSON object a run in place of a table.")
  var json = false

  func validate() throws {
    guard !runs.isEmpty else { throw ValidationError("give at least one run's directory") }
  }

  func run() throws {
    let headlines = TaskRegistry.headlines
    let reports = try runs.map { try RunReport(run: $0) }
    if json {
      for report in reports { print(report.json(metrics, headlines: headlines).text) }
    } else {
      print(RunReport.table(reports, metrics, headlines: headlines))
    }
  }
}

import ArgumentParser
import Datasets
import Foundation
import Tasks

/// The command line: one subcommand a file.
@main
struct Peco: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "peco",
    abstract: "Pretrains vision transformers with a perceptual codebook, on any machine or cluster with MPI.",
    version: "0.1.0",
    subcommands: [DatasetCommand.self] + TaskRegistry.commands + [
      ReportCommand.self, ImportCommand.self, ExportCommand.self, FigureCommand.self, BenchmarkCommand.self,
      DoctorCommand.self,
    ])

  // As errors of a run on several ranks begin.
  static var _errorLabel: String { "error" }

  static func main() {
    Startup.prepare()
    do {
      var command = try parseAsRoot()
      try command.run()
    } catch {
      Startup.letFirstRankSpeak()
      exit(withError: (error as? DatasetError)?.worded ?? error)
    }
  }
}

import ArgumentParser

/// `peco dataset`: make picture datasets and look at them.
struct DatasetCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "dataset", abstract: "Make picture datasets and look at them.",
    subcommands: [
      DatasetPrepareCommand.self, DatasetInfoCommand.self, DatasetVerifyCommand.self,
      DatasetSynthesizeCommand.self,
    ])
}

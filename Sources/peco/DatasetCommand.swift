import ArgumentParser

/// `peco dataset`: make image datasets and look at them.
struct DatasetCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "dataset", abstract: "Make and inspect image datasets.",
    subcommands: [
      DatasetPrepareCommand.self, DatasetInfoCommand.self, DatasetVerifyCommand.self,
      DatasetSynthesizeCommand.self,
    ])
}

import ArgumentParser

/// `peco dataset`: make image datasets and look at them.
struct DatasetCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "dataset", abstract: "Makes and inspects image datasets.",
    discussion: """
      A dataset is one HDF5 file of encoded images, described in docs/formats.md.

      Example:
        peco dataset prepare --input IMAGES --output images.h5 --short-side 256
        peco dataset info images.h5
      """,
    subcommands: [
      DatasetPrepareCommand.self, DatasetInfoCommand.self, DatasetVerifyCommand.self,
      DatasetSynthesizeCommand.self,
    ])
}

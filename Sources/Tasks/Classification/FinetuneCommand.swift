import ArgumentParser
import TaskSupport

/// `peco finetune`: classification.
struct FinetuneCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "finetune",
    abstract: "Trains a classifier from a pretrained transformer or from random weights.",
    discussion: """
      Under mpirun every rank trains a full replica on its share of each batch. The same command again \
      resumes from the newest checkpoint.

      Example:
        launch/mpirun -n 8 -- peco finetune \\
          --config configs/peco_finetune_imagenet.yaml --run runs/finetune
      """)

  @OptionGroup var options: RunOptions

  func run() throws {
    trainOnAllRanks { try Finetuning.run(options.request, communicator: $0) }
  }
}

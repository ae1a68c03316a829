import ArgumentParser
import TaskSupport

/// `peco pretrain`: masked image modeling.
struct PretrainCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "pretrain",
    abstract: "Pretrains a vision transformer by predicting the tokens of masked patches.",
    discussion: """
      Under mpirun every rank trains a full replica on its share of each batch. The same command again \
      resumes from the newest checkpoint.

      Examples:
        peco pretrain --config configs/quickstart/pretrain.yaml \\
          --run runs/quickstart/pretrain
        launch/mpirun -n 8 -- peco pretrain \\
          --config configs/peco_vit_base_300e.yaml --run runs/base \\
          --set data.path=imagenet.h5 tokens.tokenizer=runs/tokenizer
      """)

  @OptionGroup var options: RunOptions

  func run() throws {
    trainOnAllRanks { try Pretraining.run(options.request, communicator: $0) }
  }
}

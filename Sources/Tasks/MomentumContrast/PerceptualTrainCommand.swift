import ArgumentParser
import TaskSupport

/// `peco perceptual train`.
struct PerceptualTrainCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "train",
    abstract: "Trains a vision transformer by MoCo v3; data-parallel under mpirun.",
    discussion: """
      Give its run to the tokenizer, as in the second line. The same command again resumes from the newest \
      checkpoint.

      Example:
        launch/mpirun -n 8 -- peco perceptual train \\
          --config configs/moco_v3_vit_small_300e.yaml --run runs/moco
        peco tokenizer train --config configs/peco_tokenizer_imagenet.yaml \\
          --run runs/tokenizer \\
          --set perceptual.network=vit perceptual.weights=runs/moco
      """)

  @OptionGroup var options: RunOptions

  func run() throws {
    trainOnAllRanks { try PerceptualTraining.run(options.request, communicator: $0) }
  }
}

import ArgumentParser
import Training

/// `peco perceptual`: networks whose features tell how alike two pictures look.
struct PerceptualCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "perceptual", abstract: "Trains a perceptual network from unlabelled pictures.",
    subcommands: [Train.self])

  struct Train: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Trains a vision transformer by MoCo v3; data-parallel under mpirun.",
      discussion: """
        Its run serves the tokenizer:
          peco tokenizer train ... --set perceptual.network=vit perceptual.weights=RUN
        """)

    @OptionGroup var options: RunOptions

    func run() throws {
      onAllRanks { try PerceptualTraining.run(options.request, communicator: $0).exitCode }
    }
  }
}

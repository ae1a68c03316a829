import ArgumentParser
import Imaging
import Tasks
import Trainer
import Visualization

/// `peco figure`: what tokenizers and transformers have learned, and how, as PNG.
struct FigureCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "figure",
    abstract: "Draws what tokenizers and transformers have learned, and how, as PNG.",
    discussion: """
      docs/figures.md shows them.

      Example:
        peco figure attention --checkpoint runs/quickstart/pretrain \\
          --data runs/quickstart/images.h5 --output attention.png
      """,
    subcommands: TaskRegistry.figures + [CurvesFigureCommand.self])
}

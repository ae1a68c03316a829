import ArgumentParser
import Tasks

/// `peco perceptual`: networks whose features tell how alike two images look.
struct PerceptualCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "perceptual",
    abstract: "Trains perceptual networks on unlabeled images, and measures distances with them.",
    discussion: """
      A perceptual network is frozen when a tokenizer is trained; its features tell how alike two images \
      look.

      Example:
        peco perceptual train --config configs/moco_v3_vit_small_300e.yaml \\
          --run runs/moco --set data.path=imagenet.h5
      """,
    subcommands: TaskRegistry.perceptual)
}

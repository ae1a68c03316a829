import ArgumentParser
import Foundation
import TaskSupport
import Terminal
import Tokenizers

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
    subcommands: [Train.self, Distance.self])

  struct Train: ParsableCommand {
    static let configuration = CommandConfiguration(
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

  struct Distance: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract:
        "Prints the perceptual distance of two images, in total and at each depth.",
      discussion: """
        The network is that of a tokenizer's configuration, keys `perceptual.*`. It sees the central square \
        of each image, at data.image_size.

        Example, LPIPS:
          peco perceptual distance first.png second.png \\
            --set perceptual.network=vgg16 perceptual.weights=vgg16.safetensors \\
              perceptual.comparison=unit_channels \\
              perceptual.channel_weights=lpips.safetensors data.image_size=64
        """)

    @Argument(help: "An image, JPEG or PNG.", completion: .file(extensions: ["jpg", "jpeg", "png"]))
    var first: String
    @Argument(help: "Another image.", completion: .file(extensions: ["jpg", "jpeg", "png"]))
    var second: String
    @Option(
      help: ArgumentHelp(
        "The configuration of a tokenizer, YAML; by default every key's default.", valueName: "file.yaml"),
      completion: .yaml)
    var config: String?
    @Option(
      name: .customLong("set"), parsing: .upToNextOption,
      help: ArgumentHelp("Overrides keys of the configuration; by default none.", valueName: "key.path=value")
    )
    var overrides: [String] = []
    @Flag(help: "Print one JSON object in place of text.")
    var json = false

    func run() throws {
      let distances = try PerceptualDistance.run(
        configuration: config, overrides: overrides, first: first, second: second)
      let sum = distances.reduce(0, +)
      if json {
        var object = JSONObject()
        object.append("distance", sum)
        object.append("depths", distances)
        print(object.text)
      } else {
        let depths = distances.map { String(format: "%.6g", $0) }.joined(separator: ", ")
        print(String(format: "%.6g", sum) + " (\(depths))")
      }
    }
  }
}

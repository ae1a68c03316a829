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
    subcommands: [Train.self, Distance.self])

  struct Train: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Trains a vision transformer by MoCo v3; data-parallel under mpirun.",
      discussion: """
        Give its run to the tokenizer:
          peco tokenizer train ... --set perceptual.network=vit perceptual.weights=RUN
        """)

    @OptionGroup var options: RunOptions

    func run() throws {
      onAllRanks { try PerceptualTraining.run(options.request, communicator: $0).exitCode }
    }
  }

  struct Distance: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract:
        "Prints the perceptual distance of two images, in total and at each depth.",
      discussion: """
        The network is that of a tokenizer's configuration, keys `perceptual.*`. LPIPS, for example:
          peco perceptual distance first.png second.png --set perceptual.network=vgg16 \
            perceptual.weights=vgg16.safetensors perceptual.comparison=unit_channels \
            perceptual.channel_weights=lpips.safetensors data.image_size=64
        The network sees the central square of each image, at data.image_size.
        """)

    @Argument(help: "An image, JPEG or PNG.")
    var first: String
    @Argument(help: "Another.")
    var second: String
    @Option(help: ArgumentHelp("The configuration of a tokenizer (YAML).", valueName: "file"))
    var config: String?
    @Option(
      name: .customLong("set"), parsing: .upToNextOption,
      help: ArgumentHelp("Overrides keys of the configuration.", valueName: "key.path=value"))
    var overrides: [String] = []
    @Flag(help: "Print one JSON object.")
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

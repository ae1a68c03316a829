import ArgumentParser
import Foundation
import TaskSupport
import Terminal

/// `peco perceptual distance`.
struct PerceptualDistanceCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "distance",
    abstract: "Prints the perceptual distance of two images, in total and at each depth.",
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

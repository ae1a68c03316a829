import ArgumentParser
import Configuration
import Foundation
import Interoperability
import Layers
import TaskSupport

/// `peco import`: weights of others.
struct ImportCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "import",
    abstract: "Makes a checkpoint from a vision transformer's weights in a safetensors file.",
    discussion: """
      The checkpoint serves wherever one of `peco pretrain` or `peco finetune` does: fine-tuning, probes, \
      features, perceptual networks.

      Example:
        peco import --from model.safetensors --layout timm \\
          --output pretrained.h5 --check
      """)

  @Option(help: ArgumentHelp("The file of weights.", valueName: "file.safetensors"), completion: .safetensors)
  var from: String
  @Option(
    help: ArgumentHelp(
      "The file's layout: beit (the published code), timm or huggingface.", valueName: "layout"))
  var layout: WeightLayout
  @Option(help: ArgumentHelp("The checkpoint to write.", valueName: "checkpoint.h5"), completion: .hdf5)
  var output: String
  @Option(
    help: ArgumentHelp(
      "Attention heads of each block; by default those of the file, config.json or a known width.",
      valueName: "n"))
  var heads: Int?
  @Option(
    help: ArgumentHelp(
      "Epsilon of layer normalization; by default that of the file or config.json, or 1e-6.",
      valueName: "epsilon"))
  var normEpsilon: Float?
  @Option(
    parsing: .upToNextOption,
    help: ArgumentHelp(
      "Mean of red, green and blue, from 0 to 1; by default that of the file or the files beside it.",
      valueName: "mean"))
  var mean: [Double] = []
  @Option(
    parsing: .upToNextOption,
    help: ArgumentHelp(
      "Standard deviation of red, green and blue; by default as for --mean.", valueName: "deviation"))
  var std: [Double] = []
  @Option(
    help: ArgumentHelp(
      "The names of the classes, one a line, in the order of the head; by default as for --mean.",
      valueName: "names.txt"), completion: .file(extensions: ["txt"]))
  var classes: String?
  @Flag(help: "Report every name without a match and, if there is one, write nothing and exit with 1.")
  var check = false

  func validate() throws {
    if let heads, heads < 1 { throw ValidationError("--heads is \(heads), must be at least 1") }
    if let normEpsilon, !(normEpsilon > 0) { throw ValidationError("--norm-epsilon must be above 0") }
    guard mean.isEmpty == std.isEmpty, [0, 3].contains(mean.count), [0, 3].contains(std.count),
      mean.allSatisfy({ $0 >= 0 && $0 <= 1 }), std.allSatisfy({ $0 > 0 })
    else {
      throw ValidationError(
        "--mean and --std go together and need three numbers each, means from 0 to 1, deviations above 0")
    }
  }

  func run() throws {
    let report = try WeightConversion.importWeights(
      WeightConversion.ImportRequest(
        source: from, layout: layout, output: output, heads: heads, normEpsilon: normEpsilon,
        normalization: mean.isEmpty ? nil : ImageNormalization(mean: mean, standardDeviation: std),
        classes: try classes.map { try WeightConversion.ImportRequest.classNames(in: $0) }, isStrict: check)
    )
    tell("unmatched", report.unmatched)
    guard report.isWritten else {
      tell("error", ["\(report.unmatched.count) names of \(from) have no match; nothing was written"])
      throw ExitCode(1)
    }
    print("\(output): \(report.tensors) tensors, \(report.summary)")
  }
}

extension WeightLayout: ExpressibleByArgument {}

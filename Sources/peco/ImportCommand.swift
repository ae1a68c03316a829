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
    abstract: "Makes a checkpoint from a vision transformer's weights in other libraries' files.",
    discussion: """
      The checkpoint serves wherever one of `peco pretrain` or `peco finetune` does: fine-tuning, probes, \
      features, perceptual networks.

      Weights are read from a safetensors file, several with their index, or a file of torch.save, of which \
      nothing is executed. What lies beside them (config.json, preprocessor_config.json) is taken up, and \
      another network than peco computes is refused.

      Example:
        peco import --from model.safetensors --layout timm \\
          --output pretrained.h5 --check
        peco import --from beit-large/ --layout huggingface \\
          --output beit.h5 --set model.heads=16
      """)

  @Option(
    help: ArgumentHelp(
      "A safetensors file, the index of several or their folder, or a file of torch.save.",
      valueName: "weights"),
    completion: .weights)
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
  @Option(
    name: .customLong("set"), parsing: .upToNextOption,
    help: ArgumentHelp(
      """
      Says what neither the weights nor the files beside them tell: model.heads, model.norm_epsilon, model.positions, \
      model.norm, data.image_size, data.mean, data.std, data.interpolation; by default nothing.
      """, valueName: "key.path=value"))
  var overrides: [String] = []
  @Option(
    parsing: .upToNextOption,
    help: ArgumentHelp(
      "Leaves out of account: a key of a file beside the weights, such a file, or tensors by how their names begin; by default nothing.",
      valueName: "name"))
  var ignore: [String] = []
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
    var told = try WeightDescription(settings: overrides)
    told.heads = heads ?? told.heads
    told.normEpsilon = normEpsilon ?? told.normEpsilon
    if !mean.isEmpty { told.normalization = ImageNormalization(mean: mean, standardDeviation: std) }
    told.classes = try classes.map { try WeightConversion.ImportRequest.classNames(in: $0) }
    let report = try WeightConversion.importWeights(
      WeightConversion.ImportRequest(
        source: from, layout: layout, output: output, told: told, ignoring: Set(ignore), isStrict: check))
    tell("note", report.notes)
    tell("unmatched", report.unmatched)
    guard report.isWritten else {
      tell("error", ["\(report.unmatched.count) names of \(from) have no match; nothing was written"])
      throw ExitCode(1)
    }
    print("\(output): \(report.tensors) tensors, \(report.summary)")
  }
}

extension WeightLayout: ExpressibleByArgument {}

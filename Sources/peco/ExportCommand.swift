import ArgumentParser
import Foundation
import Training

/// `peco export`: weights for others.
struct ExportCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "export",
    abstract: "Writes a checkpoint's vision transformer into a safetensors file under the names of others.",
    discussion: """
      For huggingface, config.json and preprocessor_config.json are written beside the file unless they are there; with
      --output DIR/model.safetensors the folder can be given to from_pretrained.
      """)

  @Option(help: ArgumentHelp("A checkpoint, or a run's directory.", valueName: "checkpoint"))
  var checkpoint: String
  @Option(help: "Whose names to use: beit (the published code), timm or huggingface.")
  var layout: WeightLayout
  @Option(help: ArgumentHelp("The file to write.", valueName: "file.safetensors"))
  var output: String
  @Flag(help: "Take the moving averages of fine-tuning in place of the weights themselves.")
  var ema = false

  func run() throws {
    let report = try WeightConversion.export(
      checkpoint: checkpoint, layout: layout, output: output, averaged: ema)
    for line in report.unmatched { FileHandle.standardError.write(Data("left out: \(line)\n".utf8)) }
    for kept in report.kept { FileHandle.standardError.write(Data("kept: \(kept)\n".utf8)) }
    print("\(output): \(report.tensors) tensors, \(report.summary)")
  }
}

import ArgumentParser
import Foundation
import Interoperability
import Storage
import TaskSupport

/// `peco export`: weights for others.
struct ExportCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "export",
    abstract: "Writes a checkpoint's vision transformer to a safetensors file in another library's layout.",
    discussion: """
      The file's header has the model card: what weights do not show. For timm, config.json \
      is written beside it unless it is there; for huggingface, config.json and preprocessor_config.json, \
      and with --output DIR/model.safetensors the folder can be given to from_pretrained.

      Example:
        peco export --checkpoint runs/finetune --layout timm \\
          --output model.safetensors
      """)

  @Option(
    help: ArgumentHelp("A checkpoint, or a run's directory.", valueName: "checkpoint"), completion: .hdf5)
  var checkpoint: String
  @Option(
    help: ArgumentHelp("The layout: beit (the published code), timm or huggingface.", valueName: "layout"))
  var layout: WeightLayout
  @Option(help: ArgumentHelp("The file to write.", valueName: "file.safetensors"), completion: .safetensors)
  var output: String
  @Option(
    help: ArgumentHelp("The number format of the weights: float32, bfloat16 or float16.", valueName: "format")
  )
  var dtype = SafetensorsFile.ElementType.float32
  @Flag(help: "Take the moving averages of fine-tuning in place of the weights themselves.")
  var ema = false
  @Flag(help: "If anything that matters has no place there, name it, write nothing and exit with 1.")
  var check = false

  func run() throws {
    let report = try WeightConversion.export(
      checkpoint: checkpoint, layout: layout, output: output, averaged: ema, as: dtype,
      isStrict: check)
    tell("left out", report.unmatched)
    tell("note", report.notes)
    tell("kept", report.kept)
    guard report.isWritten else {
      let count = report.unmatched.count
      tell(
        "error", ["\(count) names of \(checkpoint) have no place in \(layout.rawValue); nothing was written"])
      throw ExitCode(1)
    }
    print("\(output): \(report.tensors) tensors, \(report.summary)")
  }
}

/// Prints lines where errors go, each after what it is.
func tell(_ what: String, _ lines: [String]) {
  for line in lines { FileHandle.standardError.write(Data("\(what): \(line)\n".utf8)) }
}

extension SafetensorsFile.ElementType: ExpressibleByArgument {}

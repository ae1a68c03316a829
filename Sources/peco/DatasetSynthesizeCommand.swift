import ArgumentParser
import Datasets
import Foundation
import Preparation
import TaskSupport
import Terminal

/// `peco dataset synthesize`: drawn images of ten classes, for trying things out without any data.
struct DatasetSynthesizeCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "synthesize", abstract: "Draws a dataset of textured shapes in ten classes.",
    discussion: """
      The images are a pure function of seed and index: the same on every machine.

      Example:
        peco dataset synthesize --output images.h5 --count 2000 --size 64
      """)

  @Option(
    help: ArgumentHelp("Dataset file to write; by default none, with --folder.", valueName: "file.h5"),
    completion: .hdf5)
  var output: String?

  @Option(
    help: ArgumentHelp(
      "Write CLASS/NAME.jpg files into this folder; by default none, with --output.", valueName: "dir"),
    completion: .directory)
  var folder: String?

  @Option(help: ArgumentHelp("Number of images.", valueName: "n"))
  var count: Int

  @Option(help: ArgumentHelp("Pixels from edge to edge, 8 to 4096.", valueName: "pixels"))
  var size = 64

  @Option(help: ArgumentHelp("Another seed gives other images.", valueName: "seed"))
  var seed: UInt64 = 0

  @Option(help: ArgumentHelp("JPEG quality, 1 to 100.", valueName: "q"))
  var quality = 92

  @Option(help: ArgumentHelp("Threads that draw; by default one a processor.", valueName: "n"))
  var workers: Int?

  func validate() throws {
    if output == nil && folder == nil {
      throw ValidationError("give --output FILE.h5, --folder DIR, or both")
    }
  }

  func run() throws {
    var synthesis = DatasetSynthesis(count: count, size: size, seed: seed)
    synthesis.quality = quality
    synthesis.workers = workers ?? defaultWorkers()
    let line = ProgressLine()
    try withInterruption { cancellation in
      defer { line.clear() }
      if let folder {
        try synthesis.write(folder: folder, cancellation: cancellation) { done in
          line.show("\(done) of \(count) images")
        }
        line.clear()
        print("\(folder): \(count) images in \(SyntheticImage.classes.count) folders")
      }
      if let output {
        let fingerprint = try synthesis.write(dataset: output, cancellation: cancellation) { done in
          line.show("\(done) of \(count) images")
        }
        line.clear()
        print("\(output): \(count) images of \(size) × \(size), fingerprint \(hexadecimal(fingerprint))")
      }
    }
  }
}

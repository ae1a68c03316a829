import ArgumentParser
import Evaluation
import TaskSupport

/// `peco features`: what a transformer makes of images.
struct FeaturesCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "features",
    abstract: "Writes a transformer's features of every image of a dataset; data-parallel under mpirun.")

  @Option(help: ArgumentHelp("A transformer's checkpoint, or its run.", valueName: "checkpoint"))
  var checkpoint: String
  @Option(help: ArgumentHelp("The dataset.", valueName: "file.h5"))
  var data: String
  @Option(help: ArgumentHelp("Where to write the features.", valueName: "features.h5"))
  var output: String
  @Option(help: "The block whose output is read, 0 for the embedding; by default the last, normalized.")
  var block: Int?
  @Option(help: "none: all tokens; mean: the mean of the patches'; class: the class token.")
  var pool = FeatureExtraction.Pooling.mean
  @Flag(help: "Use the moving averages of fine-tuning instead of the weights.")
  var ema = false
  @OptionGroup var view: ViewOptions

  func run() throws {
    let request = FeatureExtraction.Request(
      checkpoint: checkpoint, averaged: ema, dataset: data, output: output, block: block, pooling: pool,
      view: view.settings)
    onAllRanks {
      try FeatureExtraction.run(request, communicator: $0)
      return 0
    }
  }
}

extension FeatureExtraction.Pooling: ExpressibleByArgument {}

import ArgumentParser
import Evaluation
import TaskSupport

/// `peco features`: what a transformer makes of images.
struct FeaturesCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "features",
    abstract: "Writes a transformer's features of every image of a dataset; data-parallel under mpirun.",
    discussion: """
      docs/formats.md describes the file.

      Example:
        peco features --checkpoint runs/quickstart/pretrain \\
          --data runs/quickstart/images.h5 --output features.h5
      """)

  @Option(
    help: ArgumentHelp("A transformer's checkpoint, or its run's directory.", valueName: "checkpoint"),
    completion: .hdf5)
  var checkpoint: String
  @Option(help: ArgumentHelp("The dataset.", valueName: "file.h5"), completion: .hdf5)
  var data: String
  @Option(help: ArgumentHelp("Where to write the features.", valueName: "features.h5"), completion: .hdf5)
  var output: String
  @Option(
    help: ArgumentHelp(
      "The block whose output is read, 0 for the embedding; by default the last, normalized.", valueName: "n")
  )
  var block: Int?
  @Option(
    help: ArgumentHelp(
      "none: all tokens; mean: the mean of the patches'; class: the class token.", valueName: "pooling"))
  var pool = FrozenTransformer.Pooling.mean
  @Flag(help: "Take the moving averages of fine-tuning in place of the weights themselves.")
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

extension FrozenTransformer.Pooling: ExpressibleByArgument {}

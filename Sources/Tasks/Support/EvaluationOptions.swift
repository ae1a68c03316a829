import ArgumentParser

/// Which images a classifier is evaluated on, and how.
package struct EvaluationOptions: ParsableArguments {
  package init() {}

  @Option(help: ArgumentHelp("The dataset.", valueName: "file.h5"), completion: .hdf5)
  package var data: String
  @Flag(help: "Take the moving averages of fine-tuning in place of the weights themselves.")
  package var ema = false
  @OptionGroup package var view: ViewOptions
  @Flag(help: "Print one JSON object in place of text.")
  package var json = false
}

import ArgumentParser
import TaskSupport

/// Which tokenizer, and which images it sees.
struct TokenizerOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp("The tokenizer's checkpoint, or its run's directory.", valueName: "checkpoint"),
    completion: .hdf5)
  var tokenizer: String
  @Option(help: ArgumentHelp("The dataset.", valueName: "file.h5"), completion: .hdf5)
  var data: String
}

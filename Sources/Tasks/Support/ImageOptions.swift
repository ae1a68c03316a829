import ArgumentParser
import Communication
import Imaging
import Trainer
import Visualization

/// Which images a figure shows, and where it is written.
package struct ImageOptions: ParsableArguments {
  package init() {}

  @Option(help: ArgumentHelp("The dataset.", valueName: "file.h5"), completion: .hdf5)
  package var data: String
  @Option(help: ArgumentHelp("Where to write the figure.", valueName: "file.png"), completion: .png)
  package var output: String
  @Option(
    name: [.customLong("count"), .customLong("images")],
    help: ArgumentHelp("How many images to show, drawn by the seed.", valueName: "n"))
  package var count = 8
  @Option(
    parsing: .upToNextOption,
    help: ArgumentHelp(
      "Images to show in place of those, by their places in the dataset from 0; by default none.",
      valueName: "place"))
  package var index: [Int] = []
  @Option(help: ArgumentHelp("Decides every draw.", valueName: "seed"))
  package var seed: UInt64 = 0

  package func validate() throws {
    guard count >= 1 else { throw ValidationError("--count is \(count), must be at least 1") }
  }

  /// The request's choice of images.
  package var choice: ImageChoice { index.isEmpty ? .drawn(count: count, seed: seed) : .listed(index) }

  /// Draws and writes.
  package func write(madeFrom inputs: [String], _ draw: @escaping () throws -> ImageTable) {
    writeFigure(to: output, madeFrom: [data] + inputs, draw)
  }
}

/// Draws a figure and writes it, on the first rank.
package func writeFigure(
  to path: String, madeFrom inputs: [String], _ draw: @escaping () throws -> ImageTable
) {
  onAllRanks { communicator in
    try ComputeThreads.configure(requested: nil, communicator: communicator)
    guard communicator.isRoot else { return 0 }
    try ImageTable.requireOutput(path, madeFrom: inputs)
    let image = try draw().image()
    try image.writePNG(to: path)
    print("\(path): \(image.width) × \(image.height)")
    return 0
  }
}

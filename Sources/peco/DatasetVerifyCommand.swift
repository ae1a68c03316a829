import ArgumentParser
import Datasets
import Foundation
import Preparation
import TaskSupport
import Terminal

/// `peco dataset verify`: every checksum, every image decoded.
struct DatasetVerifyCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "verify",
    abstract: "Checks every image of a dataset file: its checksum, and that it decodes.",
    discussion: """
      It exits with 1 where an image is damaged, and lists the first twenty.

      Example:
        peco dataset verify runs/quickstart/images.h5
      """)

  @Argument(help: "Dataset file.", completion: .hdf5)
  var file: String

  @Option(help: ArgumentHelp("Threads that decode; by default one a processor.", valueName: "n"))
  var workers: Int?

  func run() throws {
    let dataset = try ImageDataset(opening: file)
    let line = ProgressLine()
    let started = Date()
    let problems = try withInterruption { cancellation in
      defer { line.clear() }
      return try DatasetVerification.verify(
        dataset, workers: max(1, workers ?? defaultWorkers()), cancellation: cancellation
      ) { done in line.show("\(done) of \(dataset.count) images") }
    }
    guard problems.isEmpty else {
      var text = ""
      for problem in problems.prefix(20) { text += "  \(problem.reason)\n" }
      if problems.count > 20 { text += "  and \(problems.count - 20) more\n" }
      FileHandle.standardError.write(Data(text.utf8))
      throw DatasetError(
        file, "\(problems.count) of \(dataset.count) images are damaged",
        advice: "copy the file again or prepare the dataset anew")
    }
    print(
      "\(file): all \(dataset.count) images match their checksums and decode "
        + "(\(formatted(seconds: Date().timeIntervalSince(started))))")
  }
}

import ArgumentParser
import Communication
import Evaluation
import TaskSupport
import Terminal

/// `peco evaluate`: how well a classifier does.
struct EvaluateCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "evaluate",
    abstract: "Classifies the images of a dataset, each once; data-parallel under mpirun.",
    discussion: """
      It prints how many were right at first, and among five.

      Example:
        launch/mpirun -n 2 -- peco evaluate --checkpoint runs/finetune \\
          --data test.h5
      """)

  @Option(
    help: ArgumentHelp("A checkpoint of `peco finetune`, or its run's directory.", valueName: "checkpoint"),
    completion: .hdf5)
  var checkpoint: String
  @OptionGroup var options: EvaluationOptions

  func run() throws {
    onAllRanks { communicator in
      let score = try ClassifierEvaluation.run(
        checkpoint: checkpoint, averaged: options.ema, dataset: options.data, view: options.view.settings,
        communicator: communicator)
      guard communicator.isRoot else { return 0 }
      if options.json {
        var object = JSONObject()
        object.append("images", score.images)
        object.append(score, as: "evaluation")
        object.append("evaluation_loss", score.loss)
        print(object.text)
      } else {
        print(
          "\(options.data): \(score.shares), loss \(fixed(score.loss, 4)), over \(score.images) images")
      }
      return 0
    }
  }
}

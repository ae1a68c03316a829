import ArgumentParser
import Evaluation
import TaskSupport
import Terminal

/// `peco probe`: what frozen features tell about classes.
struct ProbeCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "probe",
    abstract: "Classifies by a transformer's frozen features: linear classifier or nearest neighbors.",
    discussion: """
      Features are computed once; data-parallel under mpirun. The linear classifier's penalty is chosen on a \
      held-out tenth of the training images.
      """)

  @Option(help: ArgumentHelp("A transformer's checkpoint, or its run.", valueName: "checkpoint"))
  var checkpoint: String
  @Option(help: ArgumentHelp("The dataset to learn from.", valueName: "train.h5"))
  var data: String
  @Option(help: ArgumentHelp("The dataset to classify.", valueName: "test.h5"))
  var evaluation: String
  @Flag(help: "Use the moving averages of fine-tuning instead of the weights.")
  var ema = false
  @Option(
    help: ArgumentHelp(
      "The block whose output is read, 0 for the embedding, or all; by default the last, normalized.",
      valueName: "n|all"))
  var block: String?
  @Option(help: "linear or knn (the 20 nearest by cosine similarity, temperature 0.07).")
  var method = Probing.Method.linear
  @Option(help: "mean: the mean of the patches' tokens; class: the class token.")
  var pool = FeatureExtraction.Pooling.mean
  @Option(help: "Seed of the choice of held-out images.")
  var seed: UInt64 = 0
  @OptionGroup var view: ViewOptions
  @Flag(help: "Print one JSON object a block.")
  var json = false

  func validate() throws {
    guard pool != .none else { throw ValidationError("--pool must be mean or class") }
    _ = try blocks()
  }

  private func blocks() throws -> Probing.Blocks {
    guard let block else { return .last }
    if block == "all" { return .all }
    guard let number = Int(block) else {
      throw ValidationError("--block is '\(block)', must be a number or all")
    }
    return .one(number)
  }

  func run() throws {
    let request = Probing.Request(
      checkpoint: checkpoint, averaged: ema, data: data, evaluation: evaluation, blocks: try blocks(),
      method: method, pooling: pool, view: view.settings, seed: seed)
    onAllRanks { communicator in
      let results = try Probing.run(request, communicator: communicator)
      guard communicator.isRoot else { return 0 }
      for result in results {
        if json {
          var object = JSONObject()
          object.append("block", result.block)
          object.append(result.score, as: "evaluation")
          object.append("images", result.score.images)
          if let penalty = result.penalty { object.append("penalty", penalty) }
          print(object.text)
        } else {
          let penalty = result.penalty.map { ", penalty \($0)" } ?? ""
          print("block \(result.block): \(result.score.shares)\(penalty)")
        }
      }
      return 0
    }
  }
}

extension Probing.Method: ExpressibleByArgument {}

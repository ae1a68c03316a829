import ArgumentParser
import Communication
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

      Examples:
        peco probe --checkpoint runs/quickstart/pretrain --data train.h5 \\
          --evaluation test.h5
        peco probe --checkpoint runs/quickstart/pretrain --data train.h5 \\
          --evaluation test.h5 --method knn --block all
      """)

  @Option(
    help: ArgumentHelp("A transformer's checkpoint, or its run's directory.", valueName: "checkpoint"),
    completion: .hdf5)
  var checkpoint: String
  @Option(help: ArgumentHelp("The dataset to learn from.", valueName: "train.h5"), completion: .hdf5)
  var data: String
  @Option(help: ArgumentHelp("The dataset to classify.", valueName: "test.h5"), completion: .hdf5)
  var evaluation: String
  @Flag(help: "Take the moving averages of fine-tuning in place of the weights themselves.")
  var ema = false
  @Option(
    help: ArgumentHelp(
      "The block whose output is read, 0 for the embedding, or all; by default the last, normalized.",
      valueName: "n|all"))
  var block: String?
  @Option(
    help: ArgumentHelp(
      "linear, or knn: the 20 nearest by cosine similarity, temperature 0.07.", valueName: "method"))
  var method = Probing.Method.linear
  @Option(
    help: ArgumentHelp(
      "mean: the mean of the patches' tokens; class: the class token.", valueName: "pooling"))
  var pool = Pooling.mean
  @Option(help: ArgumentHelp("Decides which images are held out.", valueName: "seed"))
  var seed: UInt64 = 0
  @OptionGroup var view: ViewOptions
  @Flag(help: "Print one JSON object a block in place of text.")
  var json = false

  /// What an image's features are made of.
  enum Pooling: String, ExpressibleByArgument, CaseIterable {
    case mean
    case classToken = "class"

    var ofTokens: FrozenTransformer.Pooling { self == .mean ? .mean : .classToken }
  }

  func validate() throws {
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
      method: method, pooling: pool.ofTokens, view: view.settings, seed: seed)
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

import ArgumentParser
import Evaluation
import Foundation
import Layers
import Terminal

/// `peco evaluate`: how well a classifier does.
struct EvaluateCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "evaluate",
    abstract: "Classifies the images of a dataset, each once; data-parallel under mpirun.")

  @Option(help: ArgumentHelp("A checkpoint of `peco finetune`, or its run.", valueName: "checkpoint"))
  var checkpoint: String
  @Option(help: ArgumentHelp("The dataset.", valueName: "file.h5"))
  var data: String
  @Flag(help: "Take the moving averages of fine-tuning in place of the weights themselves.")
  var ema = false
  @OptionGroup var view: ViewOptions
  @Flag(help: "Print one JSON object.")
  var json = false

  func run() throws {
    onAllRanks { communicator in
      let score = try FeatureExtraction.evaluate(
        checkpoint: checkpoint, averaged: ema, dataset: data, view: view.settings, communicator: communicator)
      guard communicator.isRoot else { return 0 }
      if json {
        var object = JSONObject()
        object.append("images", score.images)
        object.append(score, as: "evaluation")
        object.append("evaluation_loss", score.loss)
        print(object.text)
      } else {
        print(
          "\(data): \(score.shares), loss \(fixed(score.loss, 4)), over \(score.images) images")
      }
      return 0
    }
  }
}

/// How images are shown to a transformer that is not being trained.
struct ViewOptions: ParsableArguments {
  @Option(
    help:
      "Side of the images the transformer sees; by default what it was trained on. Positions are interpolated."
  )
  var imageSize: Int?
  @Option(
    help: "Length that the shorter side is resized to before the middle is cut out; by default 256/224 of it."
  )
  var resize: Int?
  @Option(
    parsing: .upToNextOption,
    help: "Mean of the channels, from 0 to 1; by default what the checkpoint was trained with, or ImageNet's."
  )
  var mean: [Double] = []
  @Option(parsing: .upToNextOption, help: "Deviation of the channels, likewise.")
  var std: [Double] = []
  @Option(help: "Images a rank computes at a time.")
  var batchSize = 32
  @Option(help: "Threads a rank that decode.")
  var workers = 2

  func validate() throws {
    guard [0, 3].contains(mean.count), [0, 3].contains(std.count), std.allSatisfy({ $0 > 0 }) else {
      throw ValidationError("--mean and --std need three numbers each, deviations above 0")
    }
    for (name, value) in [
      ("image-size", imageSize ?? 1), ("resize", resize ?? 1), ("batch-size", batchSize),
      ("workers", workers),
    ]
    where value < 1 || value > 8192 {
      throw ValidationError("--\(name) is \(value), must be 1 to 8192")
    }
  }

  /// The same, as `Training` takes it.
  var settings: FeatureExtraction.View {
    var view = FeatureExtraction.View()
    (view.imageSize, view.resize) = (imageSize, resize)
    (view.batchSize, view.workers) = (batchSize, workers)
    if !mean.isEmpty { view.mean = mean }
    if !std.isEmpty { view.standardDeviation = std }
    return view
  }
}

extension ClassificationScore {
  /// How many were right, in words.
  var shares: String { "\(percent(top1)) right (top-1), \(percent(top5)) among five (top-5)" }
}

extension JSONObject {
  /// How many were right, under names that begin alike.
  mutating func append(_ score: ClassificationScore, as name: String) {
    append("\(name)_top1", score.top1)
    append("\(name)_top5", score.top5)
  }
}

/// A share as a percentage.
func percent(_ share: Double) -> String { fixed(100 * share, 2) + " %" }

/// A number with so many decimals.
func fixed(_ value: Double, _ decimals: Int) -> String { String(format: "%.\(decimals)f", value) }

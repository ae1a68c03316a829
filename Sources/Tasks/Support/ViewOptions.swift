import ArgumentParser
import Evaluation
import Foundation
import Terminal

/// How images are shown to a transformer that is not being trained.
package struct ViewOptions: ParsableArguments {
  package init() {}

  @Option(
    help: ArgumentHelp(
      "Side of the images the transformer sees; by default what it was trained on. Positions are interpolated.",
      valueName: "pixels"))
  package var imageSize: Int?
  @Option(
    help: ArgumentHelp(
      "Length that the shorter side is resized to before the middle is cut out; by default 256/224 of --image-size.",
      valueName: "pixels"))
  package var resize: Int?
  @Option(
    parsing: .upToNextOption,
    help: ArgumentHelp(
      "Mean of red, green and blue, from 0 to 1; by default what the checkpoint was trained with, or ImageNet's.",
      valueName: "mean"))
  package var mean: [Double] = []
  @Option(
    parsing: .upToNextOption,
    help: ArgumentHelp(
      "Standard deviation of red, green and blue; by default as for --mean.", valueName: "deviation"))
  package var std: [Double] = []
  @Option(help: ArgumentHelp("Images a rank computes at a time.", valueName: "n"))
  package var batchSize = 32
  @Option(help: ArgumentHelp("Threads of each rank that decode.", valueName: "n"))
  package var workers = 2

  @OptionGroup package var products: PrecisionOptions

  package func validate() throws {
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

  /// The view that a frozen transformer is given.
  package var settings: FrozenTransformer.View {
    var view = FrozenTransformer.View()
    (view.imageSize, view.resize) = (imageSize, resize)
    (view.batchSize, view.workers, view.precision) = (batchSize, workers, products.precision)
    if !mean.isEmpty { view.mean = mean }
    if !std.isEmpty { view.standardDeviation = std }
    return view
  }
}

extension ClassificationScore {
  /// How many were right, in words.
  package var shares: String { "\(percent(top1)) right (top-1), \(percent(top5)) among five (top-5)" }
}

extension JSONObject {
  /// How many were right, under names that begin alike.
  package mutating func append(_ score: ClassificationScore, as name: String) {
    append("\(name)_top1", score.top1)
    append("\(name)_top5", score.top5)
  }
}

/// A share as a percentage.
package func percent(_ share: Double) -> String { fixed(100 * share, 2) + " %" }

/// A number with so many decimals.
package func fixed(_ value: Double, _ decimals: Int) -> String { String(format: "%.\(decimals)f", value) }

import Communication
import Datasets
import Foundation
import Layers
import Logging
import Operations
import Tensors
import Terminal
import Trainer

/// The linear classifier of frozen features, of transformers and of tokens alike.
package enum LinearProbe {
  /// Penalties that are tried, the strongest first.
  private static let penalties = [1.0, 0.1, 1e-2, 1e-3, 1e-4]

  /// The dataset to learn from and the one to classify, which must have the same classes. Collective.
  package static func datasets(
    _ data: String, _ evaluation: String, _ communicator: Communicator
  ) throws -> (train: ImageDataset, test: ImageDataset) {
    let train = try ImageDataset.open(data, on: communicator)
    let test = try ImageDataset.open(evaluation, on: communicator)
    try communicator.agree {
      try train.requireLabels()
      try test.requireLabels()
      try ClassAgreement.require(test.classes, of: evaluation, as: train.classes, of: data)
    }
    if let warning = train.warningOfOneClass {
      ConsoleLog.logger(rank: communicator.rank).warning("\(warning)")
    }
    return (train, test)
  }

  /// The score of the classifier of all ranks' `known` on this rank's `asked`. Standardizes both in place.
  /// Collective.
  ///
  /// - Parameter seed: Which images are held out while the penalty is chosen.
  package static func score(
    _ asked: ProbeSamples, learningFrom known: ProbeSamples, classes: Int, seed: UInt64,
    communicator: Communicator
  ) throws -> (ClassificationScore, penalty: Double) {
    let (weights, penalty) = try fit(known, asked, classes, seed, communicator)
    var score = ClassificationScore()
    score.add(SoftmaxRegression.logits(asked.features, weights, classes: classes), labels: asked.labels)
    return (score, penalty)
  }

  /// The linear classifier of standardized features, its penalty chosen by how well a tenth of the images that it was
  /// not shown is told.
  private static func fit(
    _ known: ProbeSamples, _ asked: ProbeSamples, _ classes: Int, _ seed: UInt64,
    _ communicator: Communicator
  ) throws -> (SoftmaxRegression.Weights, penalty: Double) {
    try known.standardize(asked, communicator: communicator)
    let isHeldOut = known.samples.map { index in
      var stream = RandomStream(seed: seed, purpose: .probe, index: index)
      return stream.uniform() < 0.1
    }
    let (shown, hidden) = (known.selected { !isHeldOut[$0] }, known.selected { isHeldOut[$0] })
    let logger = ConsoleLog.logger(rank: communicator.rank)
    func minimum(
      _ regression: SoftmaxRegression, _ penalty: Double, from start: SoftmaxRegression.Weights?
    ) throws -> SoftmaxRegression.Weights {
      let (weights, isMinimum) = try regression.fit(penalty: penalty, from: start)
      if !isMinimum {
        logger.warning(
          "the classifier of penalty \(penalty) is not at its minimum after \(regression.mostIterations) steps"
        )
      }
      return weights
    }
    let trial = try SoftmaxRegression(
      features: shown.features, labels: shown.labels, classes: classes, communicator: communicator)
    var best: (penalty: Double, right: Double, weights: SoftmaxRegression.Weights)?
    var weights: SoftmaxRegression.Weights?
    for penalty in penalties {
      let fitted = try minimum(trial, penalty, from: weights)
      weights = fitted
      var score = ClassificationScore()
      score.add(SoftmaxRegression.logits(hidden.features, fitted, classes: classes), labels: hidden.labels)
      let right = try score.summed(over: communicator).top1
      if right > best?.right ?? -1 { best = (penalty, right, fitted) }
    }
    let whole = try SoftmaxRegression(
      features: known.features, labels: known.labels, classes: classes, communicator: communicator)
    let penalty = best?.penalty ?? penalties[0]
    return (try minimum(whole, penalty, from: best?.weights), penalty)
  }
}

/// What a probe knows of this rank's images.
package struct ProbeSamples {
  /// [N, width]
  package let features: Tensor
  package let labels: [Int32]
  /// Indices in the dataset.
  package let samples: [Int]

  package init(features: Tensor, labels: [Int32], samples: [Int]) {
    (self.features, self.labels, self.samples) = (features, labels, samples)
  }

  /// Some of the rows.
  func selected(_ isWanted: (Int) -> Bool) -> ProbeSamples {
    let rows = labels.indices.filter(isWanted)
    return ProbeSamples(
      features: gatherRows(features, rows), labels: rows.map { labels[$0] }, samples: rows.map { samples[$0] }
    )
  }

  /// Takes each feature to mean 0 and deviation 1 over all ranks' samples, in place, and the same in `other`.
  func standardize(_ other: ProbeSamples, communicator: Communicator) throws {
    let width = features.shape[1]
    func means(_ add: (inout [Double]) -> Void) throws -> [Double] {
      var sums = [Double](repeating: 0, count: width)
      add(&sums)
      sums = try communicator.allReduce(.sum, sums + [Double(labels.count)])
      return sums.dropLast().map { $0 / max(sums[width], 1) }
    }
    let centers = try means { addColumnSums(of: features, to: &$0) }
    let variances = try means { addColumnSquares(of: features, around: centers, to: &$0) }
    let deviations = variances.map { max($0.squareRoot(), 1e-6) }
    for part in [self, other] {
      standardizeColumns(of: part.features, means: centers, deviations: deviations)
    }
  }
}

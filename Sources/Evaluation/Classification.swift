import Communication
import Datasets
import Foundation
import Models
import Operations
import Tensors
import Terminal

/// A classification score: sums over images, each counted once.
public struct ClassificationScore: Sendable, Equatable {
  public private(set) var images = 0
  /// Images whose class has the greatest logit, and one of the five greatest.
  public private(set) var first = 0
  public private(set) var amongFive = 0
  private var lossSum = 0.0

  public init() {}

  /// Mean cross-entropy.
  public var loss: Double { lossSum / Double(max(images, 1)) }
  /// Share of images whose class has the greatest logit.
  public var top1: Double { Double(first) / Double(max(images, 1)) }
  /// Share of images whose class is among the five of the greatest logits.
  public var top5: Double { Double(amongFive) / Double(max(images, 1)) }

  /// Counts images by their logits [B, classes]. Of equal logits the first comes first, as with argmax.
  public mutating func add(_ logits: Tensor, labels: [Int32]) {
    let classes = logits.shape[1]
    let values = logits.elements
    for (row, label) in labels.enumerated() {
      let z = Array(values[row * classes..<(row + 1) * classes])
      let (own, target) = (z[Int(label)], Int(label))
      var most = -Float.infinity
      for i in 0..<classes { most = max(most, z[i]) }
      var (before, sum) = (0, 0.0)
      for i in 0..<classes {
        // Written so that nothing is right where a logit is not a number.
        if !(z[i] < own || (z[i] == own && i >= target)) { before += 1 }
        sum += exp(Double(z[i] - most))
      }
      first += before == 0 ? 1 : 0
      amongFive += before < 5 ? 1 : 0
      lossSum += log(sum) + Double(most - own)
      images += 1
    }
  }

  /// The score over all ranks' images. Collective.
  package func summed(over communicator: Communicator) throws -> ClassificationScore {
    let sums = try communicator.allReduce(
      .sum, [Double(images), Double(first), Double(amongFive), lossSum])
    var result = ClassificationScore()
    (result.images, result.first, result.amongFive) = (Int(sums[0]), Int(sums[1]), Int(sums[2]))
    result.lossSum = sums[3]
    return result
  }
}

/// A dataset to be classified.
package struct ClassificationData {
  let dataset: ImageDataset
  package let samples: SamplePipeline
  package let batchSize: Int
  package let options: Loader.Options

  package init(
    dataset: ImageDataset, samples: SamplePipeline, batchSize: Int, options: Loader.Options
  ) {
    (self.dataset, self.samples) = (dataset, samples)
    (self.batchSize, self.options) = (batchSize, options)
  }

  /// Scores a model: every rank its stretch of the images, each once. Collective.
  ///
  /// - Parameter isCancelled: Asked before every batch; where it says so on any rank, there is no score.
  package func score(
    communicator: Communicator, unless isCancelled: () -> Bool = { false }, _ logits: (Tensor) -> Tensor
  ) throws -> ClassificationScore? {
    var isWhole = true
    let own = try communicator.agree {
      var score = ClassificationScore()
      let range = communicator.stretch(of: dataset.count)
      isWhole = try dataset.forEachBatch(
        samples, range: range, batchSize: batchSize, options: options, while: { !isCancelled() }
      ) { batch in
        score.add(logits(try batch.requiredImages), labels: batch.labels)
      }
      return score
    }
    let sum = try own.summed(over: communicator)
    return try communicator.allReduce(.max, Int64(isWhole ? 0 : 1)) == 0 ? sum : nil
  }
}

import Communication
import Datasets
import Evaluation
import Foundation
import Interoperability
import Layers
import Logging
import Models
import Tensors
import Terminal

/// `peco probe`: classification by frozen features.
public enum Probing {
  /// The kind of classifier.
  public enum Method: String, Sendable, CaseIterable {
    /// A linear classifier.
    case linear
    /// The nearest neighbors.
    case knn
  }

  /// What is probed.
  public enum Blocks: Sendable, Equatable {
    /// The tokens after the last block, normalized.
    case last
    /// After so many blocks.
    case one(Int)
    /// After each of them.
    case all
  }

  /// The request of `peco probe`.
  public struct Request: Sendable {
    public var checkpoint: String
    /// Whether to use fine-tuning's moving averages instead of the weights.
    public var averaged: Bool
    /// The dataset to learn from, and the one to classify.
    public var data: String
    public var evaluation: String
    public var blocks: Blocks
    public var method: Method
    public var pooling: FrozenTransformer.Pooling
    public var view: FrozenTransformer.View
    /// Which images are held out while the penalty is chosen.
    public var seed: UInt64

    public init(
      checkpoint: String, averaged: Bool = false, data: String, evaluation: String, blocks: Blocks,
      method: Method, pooling: FrozenTransformer.Pooling, view: FrozenTransformer.View, seed: UInt64 = 0
    ) {
      self.checkpoint = checkpoint
      self.averaged = averaged
      self.data = data
      self.evaluation = evaluation
      self.blocks = blocks
      self.method = method
      self.pooling = pooling
      self.view = view
      self.seed = seed
    }
  }

  /// The result of one block.
  public struct Result: Sendable {
    /// Blocks that the tokens had passed.
    public let block: Int
    public let score: ClassificationScore
    /// The penalty that was chosen; nil for neighbors.
    public let penalty: Double?
  }

  /// Probes one block or all. Collective.
  public static func run(_ request: Request, communicator: Communicator) throws -> [Result] {
    let source = try FrozenTransformer(
      request.checkpoint, averaged: request.averaged, view: request.view, communicator: communicator)
    let logger = ConsoleLog.logger(rank: communicator.rank)
    let depth = source.model.backbone.configuration.depth
    var blocks: [Int?] = [nil]
    switch request.blocks {
    case .last: break
    case .one(let block):
      try source.require(block: block)
      blocks = [block]
    case .all: blocks = (1...depth).map { $0 }
    }
    let (train, test) = try LinearProbe.datasets(request.data, request.evaluation, communicator)
    let known = try BlockFeatures(source, train, blocks, request.pooling, communicator)
    logger.notice("features of \(train.count) images to learn from")
    let asked = try BlockFeatures(source, test, blocks, request.pooling, communicator)
    logger.notice("features of \(test.count) images to tell")
    let classes = train.classes.count
    return try blocks.enumerated().map { index, block in
      let (known, asked) = (known.part(index), asked.part(index))
      var score = ClassificationScore()
      var penalty: Double?
      switch request.method {
      case .knn:
        let votes = try NeighborProbe().votes(
          for: asked.features, neighbors: known.features, labels: known.labels, classes: classes,
          communicator: communicator)
        // As logits: a class's probability is its share.
        let logits = Tensor(votes.elements.map { log(max($0, 1e-30)) }, shape: votes.shape)
        score.add(logits, labels: asked.labels)
      case .linear:
        (score, penalty) = try LinearProbe.score(
          asked, learningFrom: known, classes: classes, seed: request.seed, communicator: communicator)
      }
      let result = Result(
        block: block ?? depth, score: try score.summed(over: communicator), penalty: penalty)
      logger.info("block \(result.block): top-1 \(result.score.top1)")
      return result
    }
  }
}

/// Features of this rank's stretch of a dataset, after several blocks.
private struct BlockFeatures {
  private var values: [[Float]]
  private var labels: [Int32] = []
  private let range: Range<Int>

  /// Computes them. Collective.
  init(
    _ source: FrozenTransformer, _ dataset: ImageDataset, _ blocks: [Int?],
    _ pooling: FrozenTransformer.Pooling, _ communicator: Communicator
  ) throws {
    range = communicator.stretch(of: dataset.count)
    let range = range
    (values, labels) = try communicator.agree {
      var values = [[Float]](repeating: [], count: blocks.count)
      var labels: [Int32] = []
      try source.forEachBatch(of: source.data(of: dataset), range) { images, batchLabels in
        labels += batchLabels
        let numbers = blocks.compactMap { $0 }
        let states = numbers.isEmpty ? [] : source.model.backbone.features(images, blocks: numbers)
        for (index, block) in blocks.enumerated() {
          values[index] +=
            block == nil
            ? source.tokens(images, block: nil, pooling: pooling).elements
            : source.pool(states[index], pooling).elements
        }
      }
      return (values, labels)
    }
    width = source.model.backbone.configuration.width
  }

  private let width: Int

  func part(_ index: Int) -> ProbeSamples {
    ProbeSamples(
      features: Tensor(values[index], shape: [labels.count, width]), labels: labels, samples: Array(range))
  }
}

import Communication
import Datasets
import Foundation
import Tensors

/// `peco probe`: how much of the classes frozen features tell.
public enum Probing {
  /// How classes are read from features.
  public enum Method: String, Sendable, CaseIterable {
    /// A linear classifier.
    case linear
    /// The nearest neighbours.
    case knn
  }

  /// What is probed.
  public enum Blocks: Sendable, Equatable {
    /// The tokens after the last block, normalised.
    case last
    /// After so many blocks.
    case one(Int)
    /// After each of them.
    case all
  }

  /// What `peco probe` is asked to do.
  public struct Request: Sendable {
    public var checkpoint: String
    /// The dataset to learn from, and the one to be told.
    public var data: String
    public var evaluation: String
    public var blocks: Blocks
    public var method: Method
    public var pooling: FeatureExtraction.Pooling
    public var view: FeatureExtraction.View
    /// Which pictures are held out while the penalty is chosen.
    public var seed: UInt64

    public init(
      checkpoint: String, data: String, evaluation: String, blocks: Blocks, method: Method,
      pooling: FeatureExtraction.Pooling, view: FeatureExtraction.View, seed: UInt64 = 0
    ) {
      self.checkpoint = checkpoint
      self.data = data
      self.evaluation = evaluation
      self.blocks = blocks
      self.method = method
      self.pooling = pooling
      self.view = view
      self.seed = seed
    }
  }

  /// How well a block did.
  public struct Result: Sendable {
    /// Blocks that the tokens had passed.
    public let block: Int
    public let score: ClassificationScore
    /// The penalty that was chosen; nil for neighbours.
    public let penalty: Double?
  }

  /// Penalties that are tried, the strongest first.
  private static let penalties = [1.0, 0.1, 1e-2, 1e-3, 1e-4]

  /// Probes one block or all. Collective.
  public static func run(_ request: Request, communicator: Communicator) throws -> [Result] {
    let source = try FrozenTransformer(
      request.checkpoint, averaged: false, view: request.view, communicator: communicator)
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
    let (train, test) = try communicator.agree {
      let (train, test) = (
        try PictureDataset(opening: request.data), try PictureDataset(opening: request.evaluation)
      )
      try train.requireLabels()
      try test.requireLabels()
      guard train.classes == test.classes else {
        throw RunError("\(request.evaluation) has other classes than \(request.data)")
      }
      return (train, test)
    }
    let known = try Features(source, train, blocks, request.pooling, communicator)
    logger.notice("features of \(train.count) pictures to learn from")
    let asked = try Features(source, test, blocks, request.pooling, communicator)
    logger.notice("features of \(test.count) pictures to tell")
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
        // As logits: what they say about the classes is their order, and a share of votes each.
        for i in 0..<votes.count { votes.pointer[i] = log(max(votes.pointer[i], 1e-30)) }
        score.add(votes, labels: asked.labels)
      case .linear:
        let (weights, chosen) = try linear(known, asked, classes, request.seed, communicator)
        penalty = chosen
        score.add(SoftmaxRegression.logits(asked.features, weights, classes: classes), labels: asked.labels)
      }
      let result = Result(
        block: block ?? depth, score: try score.summed(over: communicator), penalty: penalty)
      logger.info("block \(result.block): top-1 \(result.score.top1)")
      return result
    }
  }

  /// The linear classifier of standardised features, its penalty chosen by how well a tenth of the pictures that it was
  /// not shown is told.
  private static func linear(
    _ known: Features.Part, _ asked: Features.Part, _ classes: Int, _ seed: UInt64,
    _ communicator: Communicator
  ) throws -> (SoftmaxRegression.Weights, penalty: Double) {
    try known.standardize(asked, communicator: communicator)
    let isHeldOut = known.samples.map { index in
      var stream = RandomStream(seed: seed, purpose: .probe, index: index)
      return stream.uniform() < 0.1
    }
    let (shown, hidden) = (known.selected { !isHeldOut[$0] }, known.selected { isHeldOut[$0] })
    let trial = try SoftmaxRegression(
      features: shown.features, labels: shown.labels, classes: classes, communicator: communicator)
    var best = (penalty: penalties[0], right: -1.0)
    var weights: SoftmaxRegression.Weights?
    for penalty in penalties {
      let fitted = try trial.fit(penalty: penalty, from: weights)
      weights = fitted
      var score = ClassificationScore()
      score.add(SoftmaxRegression.logits(hidden.features, fitted, classes: classes), labels: hidden.labels)
      let right = try score.summed(over: communicator).top1
      if right > best.right { best = (penalty, right) }
    }
    let whole = try SoftmaxRegression(
      features: known.features, labels: known.labels, classes: classes, communicator: communicator)
    return (try whole.fit(penalty: best.penalty), best.penalty)
  }
}

/// Features of this rank's stretch of a dataset, after several blocks.
private struct Features {
  /// After one block.
  struct Part {
    /// [N, width]
    let features: Tensor
    let labels: [Int32]
    /// Indices in the dataset.
    let samples: [Int]

    /// Some of the rows.
    func selected(_ isWanted: (Int) -> Bool) -> Part {
      let rows = labels.indices.filter(isWanted)
      let width = features.shape[1]
      let chosen = Tensor(uninitialized: [rows.count, width])
      for (place, row) in rows.enumerated() {
        (chosen.pointer + place * width).update(from: features.pointer + row * width, count: width)
      }
      return Part(features: chosen, labels: rows.map { labels[$0] }, samples: rows.map { samples[$0] })
    }

    /// Takes each feature to mean 0 and deviation 1 over all ranks' samples, in place, and the same in `other`.
    func standardize(_ other: Part, communicator: Communicator) throws {
      let width = features.shape[1]
      func sums(_ value: (Int, Float) -> Double) throws -> [Double] {
        var sums = [Double](repeating: 0, count: width + 1)
        for row in labels.indices {
          for i in 0..<width { sums[i] += value(i, features.pointer[row * width + i]) }
        }
        sums[width] = Double(labels.count)
        sums = try communicator.allReduce(.sum, sums)
        return sums.dropLast().map { $0 / max(sums[width], 1) }
      }
      let means = try sums { Double($1) }
      let variances = try sums { (Double($1) - means[$0]) * (Double($1) - means[$0]) }
      for part in [self, other] {
        for row in part.labels.indices {
          for i in 0..<width {
            let value = Double(part.features.pointer[row * width + i])
            part.features.pointer[row * width + i] = Float(
              (value - means[i]) / max(variances[i].squareRoot(), 1e-6))
          }
        }
      }
    }
  }

  private var values: [[Float]]
  private var labels: [Int32] = []
  private let range: Range<Int>

  /// Computes them. Collective.
  init(
    _ source: FrozenTransformer, _ dataset: PictureDataset, _ blocks: [Int?],
    _ pooling: FeatureExtraction.Pooling, _ communicator: Communicator
  ) throws {
    range = communicator.stretch(of: dataset.count)
    let range = range
    (values, labels) = try communicator.agree {
      var values = [[Float]](repeating: [], count: blocks.count)
      var labels: [Int32] = []
      try source.forEachBatch(of: source.data(of: dataset), range) { pictures, batchLabels in
        labels += batchLabels
        let numbers = blocks.compactMap { $0 }
        let states = numbers.isEmpty ? [] : source.model.backbone.features(pictures, blocks: numbers)
        for (index, block) in blocks.enumerated() {
          values[index] +=
            block == nil
            ? source.tokens(pictures, block: nil, pooling: pooling).elements
            : source.pool(states[index], pooling).elements
        }
      }
      return (values, labels)
    }
    width = source.model.backbone.configuration.width
  }

  private let width: Int

  func part(_ index: Int) -> Part {
    Part(
      features: Tensor(values[index], shape: [labels.count, width]), labels: labels, samples: Array(range))
  }
}

import Communication
import Configuration
import Datasets
import Foundation
import Imaging
import Interoperability
import Layers
import Logging
import Models
import Operations
import Storage
import Tensors
import Terminal
import Trainer

/// Features of trained transformers, for `peco features`, `peco evaluate` and probes.
public enum FeatureExtraction {
  /// How images are shown to the transformer.
  public struct View: Sendable {
    /// Side of the view; nil: as in training.
    public var imageSize: Int?
    /// Length that the shorter side is resized to; nil: 256/224 of the view's side, or as `peco finetune` was told.
    public var resize: Int?
    /// Of the channels; nil: as in training.
    public var mean: [Double]?
    public var standardDeviation: [Double]?
    public var batchSize = 32
    public var workers = 2

    public init() {}
  }

  /// What is kept of the tokens after a block.
  public enum Pooling: String, Sendable, CaseIterable {
    /// All of them, the class token first.
    case none
    /// The mean of the patches'.
    case mean
    /// The class token.
    case classToken = "class"
  }

  // MARK: - Classifying

  /// Scores a fine-tuned transformer. Collective.
  public static func evaluate(
    checkpoint: String, averaged: Bool, dataset path: String, view: View, communicator: Communicator
  ) throws -> ClassificationScore {
    let source = try FrozenTransformer(
      checkpoint, averaged: averaged, view: view, communicator: communicator)
    guard case .classification(let model) = source.model else {
      throw RunError("\(source.path) has no classification head; give a checkpoint of `peco finetune`")
    }
    let dataset = try ImageDataset.open(path, on: communicator)
    let data = try communicator.agree {
      try source.requireClasses(of: dataset)
      return source.data(of: dataset)
    }
    // Nothing cancels it.
    return try data.score(communicator: communicator) { model($0) } ?? ClassificationScore()
  }

  // MARK: - Features

  /// The request of `peco features`.
  public struct Request: Sendable {
    public var checkpoint: String
    public var averaged: Bool
    public var dataset: String
    public var output: String
    /// After how many blocks tokens are read; nil: after the last, and normalized.
    public var block: Int?
    public var pooling: Pooling
    public var view: View

    public init(
      checkpoint: String, averaged: Bool, dataset: String, output: String, block: Int?, pooling: Pooling,
      view: View
    ) {
      self.checkpoint = checkpoint
      self.averaged = averaged
      self.dataset = dataset
      self.output = output
      self.block = block
      self.pooling = pooling
      self.view = view
    }
  }

  /// Writes the features of every image of a dataset; every rank computes a part of them, rank 0 writes. Collective.
  public static func run(_ request: Request, communicator: Communicator) throws {
    let logger = ConsoleLog.logger(rank: communicator.rank)
    try communicator.agree {
      guard communicator.isRoot else { return }
      try FileSystem.requireOutput(request.output, madeFrom: [request.dataset, request.checkpoint])
    }
    let source = try FrozenTransformer(
      request.checkpoint, averaged: request.averaged, view: request.view, communicator: communicator)
    let dataset = try ImageDataset.open(request.dataset, on: communicator)
    let configuration = source.model.backbone.configuration
    try source.require(block: request.block)
    let shape =
      request.pooling == .none ? [configuration.tokens, configuration.width] : [configuration.width]
    let size = shape.reduce(1, *)

    /// The features of all images to the file, which rank 0 has.
    func compute(_ file: HDF5File?) throws {
      try communicator.forEachRound(of: dataset.count, stretch: request.view.batchSize * 8, logger: logger) {
        range in
        var values: [Float] = []
        try source.forEachBatch(of: source.data(of: dataset), range) { images, _ in
          values += source.tokens(images, block: request.block, pooling: request.pooling).elements
        }
        return values.withUnsafeBytes { Array($0) }
      } write: { parts, first in
        var row = first
        for bytes in parts {
          let values = bytes.withUnsafeBytes { Array($0.bindMemory(to: Float.self)) }
          if !values.isEmpty { try file?.writeSlab(values, to: "features", row: row) }
          row += values.count / size
        }
      }
    }
    guard communicator.isRoot else { return try compute(nil) }
    try HDF5File.atomicallyWrite(to: request.output) { file in
      try file.setAttribute("format", "peco-features")
      try file.setAttribute("format_version", 1)
      try file.setAttribute("images", dataset.count)
      try file.setAttribute("block", request.block ?? configuration.depth)
      try file.setAttribute("normalized", source.isNormalized(block: request.block, request.pooling) ? 1 : 0)
      try file.setAttribute("pooling", request.pooling.rawValue)
      try file.setAttribute("checkpoint", (source.path as NSString).lastPathComponent)
      try file.setAttribute("model_card", try source.card.json())
      try file.setAttribute("dataset_fingerprint", dataset.fingerprint)
      try file.write(dataset.labels, shape: [dataset.count], to: "labels")
      try file.createDataset("features", shape: [dataset.count] + shape, of: Float.self)
      try compute(file)
    }
    logger.notice("\(request.output): \(dataset.count) images, \(shape) numbers each")
  }
}

/// A trained transformer as it stands, and how it is shown images.
package struct FrozenTransformer {
  package let path: String
  let card: ModelCard
  package let model: TransformerModel
  package let samples: SamplePipeline
  package let batchSize: Int
  package let options: Loader.Options

  /// Opens a checkpoint or a run. Collective.
  package init(
    _ path: String, averaged: Bool, view: FeatureExtraction.View, communicator: Communicator
  ) throws {
    try ComputeThreads.configure(requested: nil, communicator: communicator)
    let logger = ConsoleLog.logger(rank: communicator.rank)
    let weights = try TransformerWeights(opening: path, averaged: averaged, communicator: communicator) {
      logger.warning("\($0)")
    }
    self.path = weights.path
    model = try weights.loadModel(imageSize: view.imageSize, communicator: communicator)
    card = weights.card
    let preprocessing = card.preprocessing
    let size = model.backbone.configuration.imageSize
    // A given resize of the shorter side is only for the image size that it was given for.
    let resize = view.resize ?? (size == card.architecture.imageHeight ? preprocessing.resize : nil)
    guard resize.map({ $0 >= size }) ?? true else {
      throw RunError("--resize is \(resize ?? 0), less than the \(size) pixels that are cut out")
    }
    var image = ImageView(size: size, interpolation: preprocessing.interpolation)
    image.mean = (view.mean ?? preprocessing.normalization.mean).map { Float($0) }
    image.deviation = (view.standardDeviation ?? preprocessing.normalization.standardDeviation).map {
      Float($0)
    }
    samples = SamplePipeline(
      seed: 0, augmentation: .evaluation(shortSide: resize, size: size), image: image)
    batchSize = view.batchSize
    options = Loader.Options(workers: view.workers)
  }

  /// The images of a dataset as they are shown.
  package func data(of dataset: ImageDataset) -> ClassificationData {
    ClassificationData(dataset: dataset, samples: samples, batchSize: batchSize, options: options)
  }

  /// Throws where a dataset does not have the classes of the transformer.
  package func requireClasses(of dataset: ImageDataset) throws {
    try dataset.requireLabels()
    let classes = card.architecture.classes ?? 0
    guard dataset.classes.count == classes else {
      throw RunError("\(dataset.path) has \(dataset.classes.count) classes, \(path) tells \(classes) apart")
    }
    if let (found, known) = card.classes.flatMap({ zip(dataset.classes, $0).first { $0 != $1 } }) {
      throw RunError(
        "\(dataset.path) has other classes than those that \(path) tells apart: '\(found)' stands where "
          + "'\(known)' is expected")
    }
  }

  /// Hands over the images of a range, batch by batch, and their classes.
  func forEachBatch(
    of data: ClassificationData, _ range: Range<Int>, _ body: (Tensor, [Int32]) throws -> Void
  ) throws {
    try data.dataset.forEachBatch(
      data.samples, range: range, batchSize: data.batchSize, options: data.options
    ) { batch in
      try body(try batch.requiredImages, batch.labels)
    }
  }

  /// Throws where there is no such block.
  func require(block: Int?) throws {
    let depth = model.backbone.configuration.depth
    guard let block else { return }
    guard (0...depth).contains(block) else {
      throw RunError(
        "\(path) has \(depth) blocks; --block is \(block), must be 0 (the embedding) to \(depth)")
    }
  }

  /// Tokens after a block, pooled: [B, width], or [B, N + 1, width] as they are.
  ///
  /// - Parameter block: Nil: after the last, and normalized as the transformer was trained: all tokens by `norm`, or their
  ///   mean by `fc_norm`, which leaves tokens themselves as they are, in timm and Hugging Face transformers too.
  func tokens(_ images: Tensor, block: Int?, pooling: FeatureExtraction.Pooling) -> Tensor {
    let backbone = model.backbone
    let states = backbone.features(images, blocks: [block ?? backbone.configuration.depth])[0]
    guard isNormalized(block: block, pooling) else { return pool(states, pooling) }
    return card.architecture.norm == .pooled
      ? backbone.norm(pool(states, pooling)) : pool(backbone.norm(states), pooling)
  }

  /// Whether tokens are normalized: those after the last block, and where the norm is for their mean, this alone.
  func isNormalized(block: Int?, _ pooling: FeatureExtraction.Pooling) -> Bool {
    block == nil && (card.architecture.norm != .pooled || pooling == .mean)
  }

  /// Tokens pooled.
  func pool(_ tokens: Tensor, _ pooling: FeatureExtraction.Pooling) -> Tensor {
    switch pooling {
    case .none: return tokens
    case .mean: return meanOfPatches(tokens)
    case .classToken:
      return gatherRows(tokens, (0..<tokens.shape[0]).map { $0 * tokens.shape[1] })
    }
  }
}

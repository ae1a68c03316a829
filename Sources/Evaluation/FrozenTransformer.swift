import Communication
import Configuration
import Datasets
import Interoperability
import Layers
import Logging
import Models
import Operations
import Tensors
import Terminal
import Trainer

/// A trained transformer as it stands, and how it is shown images.
public struct FrozenTransformer {
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
    /// The number format of products.
    public var precision = Precision.float32

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

  package let path: String
  package let card: ModelCard
  package let model: any TransformerModel
  package let samples: SamplePipeline
  package let batchSize: Int
  package let options: Loader.Options

  /// Opens a checkpoint or a run. Collective.
  package init(
    _ path: String, averaged: Bool, view: View, communicator: Communicator
  ) throws {
    try ComputeThreads.configure(requested: nil, communicator: communicator)
    let logger = ConsoleLog.logger(rank: communicator.rank)
    try ComputePrecision.configure(view.precision, communicator: communicator, logger: logger)
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
    var image = ImagePreprocessing(size: size, interpolation: preprocessing.interpolation)
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

  /// The transformer with its head for classes. Throws where it has none.
  package func classifier() throws -> ClassificationModel {
    guard let model = model as? ClassificationModel else {
      throw RunError("\(path) has no classification head; give a checkpoint of `peco finetune`")
    }
    return model
  }

  /// Throws where a dataset does not have the classes of the transformer.
  package func requireClasses(of dataset: ImageDataset) throws {
    try dataset.requireLabels()
    if let classes = card.classes {
      try ClassAgreement.require(dataset.classes, of: dataset.path, as: classes, of: path)
    }
    let classes = card.architecture.classes ?? 0
    guard dataset.classes.count == classes else {
      throw RunError("\(dataset.path) has \(dataset.classes.count) classes, \(path) tells \(classes) apart")
    }
  }

  /// Hands over the images of a range, batch by batch, and their classes.
  package func forEachBatch(
    of data: ClassificationData, _ range: Range<Int>, _ body: (Tensor, [Int32]) throws -> Void
  ) throws {
    try data.dataset.forEachBatch(
      data.samples, range: range, batchSize: data.batchSize, options: data.options
    ) { batch in
      try body(try batch.requiredImages, batch.labels)
    }
  }

  /// Tokens after a block, pooled: [B, width], or [B, N + 1, width] as they are.
  ///
  /// - Parameter block: Nil: after the last, and normalized as the transformer was trained: all tokens by `norm`, or
  ///   their mean by `fc_norm`, which leaves tokens themselves as they are, in timm and Hugging Face transformers too.
  package func tokens(_ images: Tensor, block: Int?, pooling: Pooling) -> Tensor {
    let backbone = model.backbone
    let states = backbone.features(images, blocks: [block ?? backbone.configuration.depth])[0]
    guard isNormalized(block: block, pooling) else { return pool(states, pooling) }
    return card.architecture.norm == .pooled
      ? backbone.norm(pool(states, pooling)) : pool(backbone.norm(states), pooling)
  }

  /// Whether tokens are normalized: those after the last block, and where the norm is for their mean, this alone.
  package func isNormalized(block: Int?, _ pooling: Pooling) -> Bool {
    guard block == nil, let norm = card.architecture.norm else { return false }
    return norm != .pooled || pooling == .mean
  }

  /// Tokens pooled.
  package func pool(_ tokens: Tensor, _ pooling: Pooling) -> Tensor {
    switch pooling {
    case .none: return tokens
    case .mean: return meanOfPatches(tokens)
    case .classToken:
      return gatherRows(tokens, (0..<tokens.shape[0]).map { $0 * tokens.shape[1] })
    }
  }
}

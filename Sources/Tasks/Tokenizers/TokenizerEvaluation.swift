import Communication
import Datasets
import Evaluation
import Interoperability
import Layers
import Logging
import Models
import Operations
import TaskSupport
import Tensors
import Terminal
import TokenizerSupport
import Trainer

/// The class information in tokens: the measures of PeCo's table 4 (2111.12710, section 4).
public enum TokenizerEvaluation {
  /// How the entries of an image's grid become one feature vector.
  public enum Pooling: String, Sendable, CaseIterable {
    /// Their mean.
    case mean
    /// All of them, side by side, row by row.
    case grid
  }

  /// The request of `peco tokenizer probe`.
  public struct ProbeRequest: Sendable {
    /// The tokenizer's checkpoint or run.
    public var tokenizer: String
    /// The dataset to learn from, and the one to classify.
    public var data: String
    public var evaluation: String
    public var pooling: Pooling
    /// Which images are held out while the penalty is chosen.
    public var seed: UInt64
    public var batchSize: Int
    public var workers: Int

    public init(
      tokenizer: String, data: String, evaluation: String, pooling: Pooling, seed: UInt64, batchSize: Int,
      workers: Int
    ) {
      self.tokenizer = tokenizer
      self.data = data
      self.evaluation = evaluation
      self.pooling = pooling
      self.seed = seed
      self.batchSize = batchSize
      self.workers = workers
    }
  }

  /// Classifies by the tokens with a linear classifier; `penalty` is the chosen one. Collective.
  public static func probe(
    _ request: ProbeRequest, communicator: Communicator
  ) throws -> (score: ClassificationScore, penalty: Double) {
    try ComputeThreads.configure(requested: nil, communicator: communicator)
    let logger = ConsoleLog.logger(rank: communicator.rank)
    let tokenizer = try TrainedTokenizer(path: request.tokenizer, communicator: communicator) {
      logger.warning("\($0)")
    }
    let (train, test) = try LinearProbe.datasets(request.data, request.evaluation, communicator)
    let known = try tokens(tokenizer.model, of: train, request, communicator)
    logger.notice("tokens of \(train.count) images to learn from")
    let asked = try tokens(tokenizer.model, of: test, request, communicator)
    logger.notice("tokens of \(test.count) images to tell")
    let (score, penalty) = try LinearProbe.score(
      asked, learningFrom: known, classes: train.classes.count, seed: request.seed, communicator: communicator
    )
    return (try score.summed(over: communicator), penalty)
  }

  /// The codebook entries of this rank's range of a dataset, for the center crop of each image. Collective.
  private static func tokens(
    _ model: any Tokenizer, of dataset: ImageDataset, _ request: ProbeRequest, _ communicator: Communicator
  ) throws -> ProbeSamples {
    let range = communicator.stretch(of: dataset.count)
    let samples = SamplePipeline.whole(tokenizerImage: model.preprocessing)
    return try communicator.agree {
      var (values, labels) = ([Float](), [Int32]())
      let length = model.codebookVectors([0]).count
      let places = model.gridSize * model.gridSize
      let width = request.pooling == .mean ? length : places * length
      values.reserveCapacity(range.count * width)
      try dataset.forEachBatch(
        samples, range: range, batchSize: request.batchSize,
        options: Loader.Options(workers: request.workers)
      ) { batch in
        let tokens = model.codebookVectors(model.tokens(try batch.requiredTokenizerImages))
        labels += batch.labels
        values += request.pooling == .grid ? tokens.elements : means(tokens, every: places)
      }
      return ProbeSamples(
        features: Tensor(values, shape: [labels.count, width]), labels: labels, samples: Array(range))
    }
  }

  /// The mean of every so many rows of [rows, width].
  private static func means(_ rows: Tensor, every count: Int) -> [Float] {
    let (width, values) = (rows.shape[1], rows.elements)
    var result = [Float](repeating: 0, count: rows.count / count)
    for row in 0..<rows.shape[0] {
      let start = row / count * width
      for i in 0..<width { result[start + i] += values[row * width + i] / Float(count) }
    }
    return result
  }

  // MARK: - Reconstructions

  /// The request of `peco tokenizer classify`.
  public struct ClassificationRequest: Sendable {
    /// The tokenizer's checkpoint or run.
    public var tokenizer: String
    /// A checkpoint or run of `peco finetune`.
    public var classifier: String
    /// Whether the moving averages of fine-tuning are taken.
    public var averaged: Bool
    public var dataset: String
    /// How images are shown to the classifier; their size is the tokenizer's.
    public var view: FrozenTransformer.View

    public init(
      tokenizer: String, classifier: String, averaged: Bool, dataset: String, view: FrozenTransformer.View
    ) {
      self.tokenizer = tokenizer
      self.classifier = classifier
      self.averaged = averaged
      self.dataset = dataset
      self.view = view
    }
  }

  /// The comparison of images with their reconstructions.
  public struct ClassificationReport: Sendable {
    /// The classifier's score on the images.
    public var originals = ClassificationScore()
    /// Its score on the reconstructions.
    public var reconstructions = ClassificationScore()
    /// Peak signal-to-noise ratio of the mean squared error over all images, in decibels.
    public var psnr = 0.0
    /// How evenly the images use the tokens.
    public var usage = CodebookUsage(counts: [])
  }

  /// Classifies images and their reconstructions by the same classifier, each once over all ranks. Collective.
  ///
  /// Both are the same crop, which the classifier is shown at the tokenizer's size: where it was trained at another one
  /// its positions are interpolated. Reconstructions are cut off at black and white, as files of images are.
  public static func classify(
    _ request: ClassificationRequest, communicator: Communicator
  ) throws -> ClassificationReport {
    let logger = ConsoleLog.logger(rank: communicator.rank)
    let tokenizer = try TrainedTokenizer(path: request.tokenizer, communicator: communicator) {
      logger.warning("\($0)")
    }
    return try classify(request, tokenizer: tokenizer.model, communicator: communicator)
  }

  /// The same for a given tokenizer; `request.tokenizer` is ignored. Collective.
  public static func classify(
    _ request: ClassificationRequest, tokenizer: any Tokenizer, communicator: Communicator
  ) throws -> ClassificationReport {
    let size = tokenizer.imageSize
    var shown = request.view
    shown.imageSize = size
    let source = try FrozenTransformer(
      request.classifier, averaged: request.averaged, view: shown, communicator: communicator)
    let model = try source.classifier()
    guard let view = source.samples.image else { throw RunError("\(source.path) has no view of images") }
    var samples = source.samples
    samples.tokenizerImage = .tokenizer(size: size)
    let normalization = ChannelAffine.normalization(mean: view.mean, deviation: view.deviation)

    let dataset = try ImageDataset.open(request.dataset, on: communicator)
    var uses = [Double](repeating: 0, count: tokenizer.vocabulary)
    let (own, squaredError) = try communicator.agree {
      try source.requireClasses(of: dataset)
      var (report, squaredError) = (ClassificationReport(), 0.0)
      let range = communicator.stretch(of: dataset.count)
      try dataset.forEachBatch(
        samples, range: range, batchSize: source.batchSize, options: source.options
      ) { batch in
        let (images, originals) = (try batch.requiredImages, try batch.requiredTokenizerImages)
        let tokens = tokenizer.tokens(originals)
        for token in tokens { uses[Int(token)] += 1 }
        let drawn = tokenizer.images(from: tokens)
        squaredError += Double(meanSquaredError(drawn, originals).item) * Double(batch.count)
        report.originals.add(model(images), labels: batch.labels)
        report.reconstructions.add(model(normalization(drawn)), labels: batch.labels)
      }
      return (report, squaredError)
    }
    var report = ClassificationReport()
    report.originals = try own.originals.summed(over: communicator)
    report.reconstructions = try own.reconstructions.summed(over: communicator)
    let error = try communicator.allReduce(.sum, squaredError) / Double(max(report.originals.images, 1))
    report.psnr = peakSignalToNoiseRatio(meanSquaredError: error)
    report.usage = CodebookUsage(counts: try communicator.allReduce(.sum, uses))
    return report
  }
}

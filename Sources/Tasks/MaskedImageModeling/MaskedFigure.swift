import Communication
import Configuration
import Datasets
import Evaluation
import Foundation
import Imaging
import Interoperability
import Layers
import Models
import Operations
import TaskSupport
import Tensors
import Terminal
import Tokenizers
import Trainer
import Visualization

/// `peco figure masked`: masked images, and the predictions of pretrained transformers decoded by their
/// tokenizers.
public enum MaskedFigure {
  /// What is to be drawn.
  public struct Request: Sendable {
    /// Checkpoints of `peco pretrain`, or runs.
    public var models: [String]
    /// Their tokenizers: none for those that their configurations name, one for all, or one for each.
    public var tokenizers: [String] = []
    /// What the columns are called; none for the names of the runs.
    public var labels: [String] = []
    /// The dataset.
    public var dataset: String
    /// Its images that are shown, one a row.
    public var images: ImageChoice
    /// Share of masked patches; nil: that of the first model's training.
    public var maskRatio: Double?
    /// Decides the masks.
    public var seed: UInt64 = 0

    public init(models: [String], dataset: String, images: ImageChoice) {
      self.models = models
      self.dataset = dataset
      self.images = images
    }
  }

  /// A model's score on the images of the figure.
  public struct Score: Sendable, Equatable {
    public let label: String
    /// Tokens predicted correctly.
    public let correct: Int
    /// Tokens predicted.
    public let masked: Int
  }

  /// What was drawn.
  public struct Figure: Sendable {
    public let table: ImageTable
    public let scores: [Score]
    /// Masked patches of each image, row by row.
    public let masked: [[Int]]
  }

  /// Stands where patches are masked.
  public static let maskColor: (UInt8, UInt8, UInt8) = (128, 128, 128)

  /// A row an image: the image, the image masked, and for each model its tokenizer's decoding of predicted tokens
  /// at masked patches and of its own tokens elsewhere.
  public static func draw(_ request: Request) throws -> Figure {
    let labels = try figureLabels(request.labels, for: request.models, option: "model")
    guard [0, 1, request.models.count].contains(request.tokenizers.count) else {
      throw RunError(
        "--tokenizer is given \(request.tokenizers.count) times, --model \(request.models.count) times; "
          + "one for all, or one for each")
    }
    let dataset = try namingKeys { try ImageDataset(opening: request.dataset) }
    let indices = try request.images.indices(in: dataset)
    var mask: MaskGenerator?
    var originals: [Image] = []
    var masked: [[Int]] = []
    var columns: [[Image]] = []
    var scores: [Score] = []
    for (number, path) in request.models.enumerated() {
      let tokenizer =
        request.tokenizers.isEmpty
        ? nil : request.tokenizers[request.tokenizers.count == 1 ? 0 : number]
      let predictor = try Predictor(path, tokenizer: tokenizer, dataset: dataset)
      let generator = try mask ?? predictor.maskGenerator(ratio: request.maskRatio)
      guard generator.height == predictor.grid else {
        throw RunError(
          "\(request.models[0]) has \(generator.height)² patches, \(path) \(predictor.grid)²; "
            + "models in one figure need the same")
      }
      mask = generator
      var (drawn, correct, total) = ([Image](), 0, 0)
      try predictor.forEachBatch(of: indices, in: dataset, mask: generator, seed: request.seed) {
        batch, result in
        for place in 0..<batch.count {
          drawn.append(predictor.tokenizer.image(result.images, place))
          guard number == 0 else { continue }
          originals.append(predictor.original(batch, place))
          masked.append(
            batch.masked.map { Int($0) - place * generator.patches }.filter {
              (0..<generator.patches).contains($0)
            })
        }
        correct += result.correct
        total += batch.masked.count
      }
      columns.append(drawn)
      scores.append(Score(label: labels[number], correct: correct, masked: total))
    }
    let grid = mask?.width ?? 1
    let width = max(
      ReconstructionFigure.cellWidth, ([originals] + columns).compactMap { $0.first?.width }.max() ?? 0)
    let rows = indices.indices.map { row in
      ImageTable.Row(
        images: ([originals[row], hide(masked[row], of: originals[row], grid: grid)]
          + columns.map { $0[row] })
          .map { $0.enlarged(toward: width) })
    }
    return Figure(
      table: ImageTable(headings: ["image", "masked"] + labels, rows: rows), scores: scores,
      masked: masked)
  }

  /// An image with the mask's color over some of its patches.
  private static func hide(_ patches: [Int], of image: Image, grid: Int) -> Image {
    let side = image.width / grid
    let blank = Image(width: side, height: side, color: maskColor)
    var canvas = Canvas(width: image.width, height: image.height)
    canvas.place(image, x: 0, y: 0)
    for patch in patches { canvas.place(blank, x: patch % grid * side, y: patch / grid * side) }
    return canvas.image
  }
}

/// A pretrained transformer with its tokenizer.
private struct Predictor {
  let tokenizer: any Tokenizer
  private let path: String
  private let model: MaskedImageModel
  private let view: ImagePreprocessing
  private let configuration: PretrainConfiguration?

  /// - Parameter given: The tokenizer; nil for the one that the checkpoint's configuration names.
  init(_ checkpoint: String, tokenizer given: String?, dataset: ImageDataset) throws {
    let frozen = try FrozenTransformer(
      checkpoint, averaged: false, view: FrozenTransformer.View(), communicator: Communicator())
    path = frozen.path
    guard case .maskedImage(let model) = frozen.model else {
      throw RunError(
        "\(path) predicts no tokens; give a checkpoint of `peco pretrain` that was trained on a tokenizer's tokens"
      )
    }
    self.model = model
    view =
      frozen.data(of: dataset).samples.image
      ?? ImagePreprocessing(size: model.backbone.configuration.imageSize)
    let header = try Checkpoint.header(of: path)
    configuration =
      header.task == MaskedImageModelingTask.task
      ? try PretrainConfiguration.load(yaml: header.configuration, source: path).configuration : nil
    let source = configuration?.tokens.source
    let trained = try TrainedTokenizer(
      path: try given ?? Self.namedTokenizer(source, of: path),
      size: .tokens(model.backbone.configuration.grid), communicator: Communicator())
    tokenizer = trained.model
    try Self.check(trained, against: source, header, model: path)
    let tokens = model.head.weight.shape[0]
    guard tokenizer.vocabulary == tokens else {
      throw RunError(
        "\(path) predicts \(tokens) tokens, \(trained.path) has \(tokenizer.vocabulary); give the tokenizer it was "
          + "trained with")
    }
  }

  /// The tokenizer that a checkpoint's configuration names, if it is still there.
  private static func namedTokenizer(
    _ source: PretrainConfiguration.Tokens.Source?, of model: String
  ) throws -> String {
    switch source {
    case .tokenizer(let path):
      guard FileManager.default.fileExists(atPath: path) else {
        throw RunError(
          "\(model) was trained on the tokens of \(path), which is not there; say where by --tokenizer")
      }
      return path
    case .file(let path):
      throw RunError(
        "\(model) was trained on the tokens in \(path); say of which tokenizer they are by --tokenizer")
    case nil: throw RunError("\(model) does not say what its tokens are; say so by --tokenizer")
    }
  }

  /// Throws where tokens came from another tokenizer, as the checkpoint tells, or the file that they were read from.
  private static func check(
    _ tokenizer: TrainedTokenizer, against source: PretrainConfiguration.Tokens.Source?,
    _ header: CheckpointHeader, model: String
  ) throws {
    guard header.inputs[RunInput.tokenizer] ?? tokenizer.checksum == tokenizer.checksum else {
      throw RunError(
        "\(model) was trained on the tokens of another tokenizer than \(tokenizer.path); give the one it was trained "
          + "with (by its checkpoint, if its run went on since)")
    }
    guard case .file(let path) = source, FileManager.default.fileExists(atPath: path) else { return }
    guard try namingKeys({ try TokenFile(opening: path) }).header.tokenizerChecksum == tokenizer.checksum
    else {
      throw RunError("\(model) was trained on the tokens in \(path), which \(tokenizer.path) did not make")
    }
  }

  /// Patches along each side.
  var grid: Int { model.backbone.configuration.grid }

  /// Masks as in training, or BEiT's where the checkpoint does not say.
  func maskGenerator(ratio: Double?) throws -> MaskGenerator {
    var masking = configuration?.masking ?? PretrainConfiguration.Masking()
    if configuration == nil { masking.amount = .ratio(0.4) }
    if let ratio { masking.amount = .ratio(ratio) }
    let count = max(1, masking.count(of: grid * grid))
    return try MaskGenerator(
      height: grid, width: grid, count: count,
      kind: masking.kind == .random
        ? .random : .blockwise(minimumBlock: min(masking.minimumBlock, count), minimumAspect: masking.aspect))
  }

  /// An image of a batch before normalization.
  func original(_ batch: Batch, _ place: Int) -> Image {
    batch.images.map { view.image($0, place) } ?? Image(width: view.size, height: view.size)
  }

  /// Hands over batches with the decoded predictions for them.
  func forEachBatch(
    of indices: [Int], in dataset: ImageDataset, mask: MaskGenerator, seed: UInt64,
    _ body: (Batch, (images: Tensor, correct: Int)) throws -> Void
  ) throws {
    let samples = SamplePipeline.whole(
      seed: seed, image: view,
      tokenizerImage: .tokenizer(
        size: tokenizer.imageSize, interpolation: configuration?.tokens.interpolation ?? .bicubic), mask: mask
    )
    try dataset.forEachBatch(of: indices, samples) { batch in
      var tokens = tokenizer.tokens(try batch.requiredTokenizerImages)
      let predicted = argmax(model(try batch.requiredImages, masked: batch.masked))
      var correct = 0
      for (place, token) in zip(batch.masked, predicted) {
        correct += tokens[Int(place)] == token ? 1 : 0
        tokens[Int(place)] = token
      }
      try body(batch, (tokenizer.images(from: tokens), correct))
    }
  }
}

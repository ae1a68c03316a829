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
  private let pretraining: ModelCard.Pretraining?

  /// - Parameter given: The tokenizer; nil for the one that the checkpoint names.
  init(_ checkpoint: String, tokenizer given: String?, dataset: ImageDataset) throws {
    let frozen = try FrozenTransformer(
      checkpoint, averaged: false, view: FrozenTransformer.View(), communicator: Communicator())
    path = frozen.path
    guard let model = frozen.model as? MaskedImageModel else {
      throw RunError(
        "\(path) predicts no tokens; give a checkpoint of `peco pretrain` that was trained on a tokenizer's tokens"
      )
    }
    self.model = model
    view =
      frozen.data(of: dataset).samples.image
      ?? ImagePreprocessing(size: model.backbone.configuration.imageSize)
    pretraining = frozen.card.pretraining
    let inputs = try Checkpoint.header(of: path).inputs
    let trained = try TrainedTokenizer(
      path: try given ?? Self.namedTokenizer(inputs, of: path),
      size: .tokens(model.backbone.configuration.grid), communicator: Communicator())
    tokenizer = trained.model
    let tokens = model.head.weight.shape[0]
    guard tokenizer.vocabulary == tokens else {
      throw RunError(
        "\(path) predicts \(tokens) tokens, \(trained.path) has \(tokenizer.vocabulary); give the tokenizer it was "
          + "trained with")
    }
    try Self.check(trained, against: inputs, model: path)
  }

  /// The tokenizer that a checkpoint names, if it is still there.
  private static func namedTokenizer(
    _ inputs: [String: RunInput.Record], of model: String
  ) throws -> String {
    if let path = inputs[RunInput.tokens]?.path {
      throw RunError(
        "\(model) was trained on the tokens in \(path); say of which tokenizer they are by --tokenizer")
    }
    guard let path = inputs[RunInput.tokenizer]?.path else {
      throw RunError("\(model) does not say what its tokens are; say so by --tokenizer")
    }
    guard FileManager.default.fileExists(atPath: path) else {
      throw RunError(
        "\(model) was trained on the tokens of \(path), which is not there; say where by --tokenizer")
    }
    return path
  }

  /// Throws where tokens came from another tokenizer, as the checkpoint tells.
  private static func check(
    _ tokenizer: TrainedTokenizer, against inputs: [String: RunInput.Record], model: String
  ) throws {
    guard inputs[RunInput.tokenizer].map({ $0.checksum == tokenizer.checksum }) ?? true else {
      throw RunError(
        "\(model) was trained on the tokens of another tokenizer than \(tokenizer.path); give the one it was trained "
          + "with (by its checkpoint, if its run went on since)")
    }
  }

  /// Patches along each side.
  var grid: Int { model.backbone.configuration.grid }

  /// Masks as in training, or BEiT's where the checkpoint does not say.
  func maskGenerator(ratio: Double?) throws -> MaskGenerator {
    func patches(_ ratio: Double) -> Int { max(1, Int((ratio * Double(grid * grid)).rounded())) }
    var masking = pretraining?.masking ?? ModelCard.Masking(patches: patches(0.4))
    if let ratio { masking.patches = patches(ratio) }
    masking.minimumBlock = min(masking.minimumBlock, masking.patches)
    return try masking.generator(grid: grid)
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
        size: tokenizer.imageSize, interpolation: pretraining?.tokenInterpolation ?? .bicubic), mask: mask
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

import Communication
import Configuration
import Datasets
import Evaluation
import Imaging
import Logging
import Models
import Storage
import Tensors
import Terminal
import Trainer

/// `peco tokenizer encode`: the tokens of every image of a dataset, computed once.
public enum TokenEncoding {
  /// What to encode, and how.
  public struct Request: Sendable {
    /// The tokenizer's checkpoint or run directory.
    public var tokenizer: String
    /// The dataset.
    public var dataset: String
    /// The token file to be written.
    public var output: String
    /// Randomly cropped and flipped views of each image; 0: the center crop only.
    public var views: Int
    /// Smallest share of an image's area that a view's crop takes.
    public var leastCropScale: Double
    /// Seed of the views.
    public var seed: UInt64
    /// Images a rank encodes at a time.
    public var batchSize: Int
    /// Side of the images that the tokenizer is shown; nil: as in its training.
    public var imageSize: Int?
    /// How crops are resized.
    public var interpolation: ResampleFilter
    /// The number format of products.
    public var precision: Precision

    /// A request, as the command line makes it.
    public init(
      tokenizer: String, dataset: String, output: String, views: Int, leastCropScale: Double, seed: UInt64,
      batchSize: Int, imageSize: Int? = nil, interpolation: ResampleFilter = .bicubic,
      precision: Precision = .float32
    ) {
      self.tokenizer = tokenizer
      self.dataset = dataset
      self.output = output
      self.views = views
      self.leastCropScale = leastCropScale
      self.seed = seed
      self.batchSize = batchSize
      self.imageSize = imageSize
      self.interpolation = interpolation
      self.precision = precision
    }
  }

  /// Batches that a rank encodes between two exchanges.
  private static let batchesPerRound = 16

  /// Encodes, every rank its part of each stretch of images; rank 0 writes. Collective.
  public static func run(_ request: Request, communicator: Communicator) throws {
    try ComputeThreads.configure(requested: nil, communicator: communicator)
    let logger = ConsoleLog.logger(rank: communicator.rank)
    let precision = try ComputePrecision.configure(
      request.precision, communicator: communicator, logger: logger)
    try communicator.agree {
      guard communicator.isRoot else { return }
      try FileSystem.requireOutput(request.output, madeFrom: [request.dataset, request.tokenizer])
    }
    let dataset = try ImageDataset.open(request.dataset, on: communicator)
    let tokenizer = try TrainedTokenizer(
      path: request.tokenizer, size: request.imageSize.map(TrainedTokenizer.Size.pixels) ?? .trained,
      communicator: communicator
    ) { logger.warning("\($0)") }
    let model = tokenizer.model
    let views = max(1, request.views)
    let samples = SamplePipeline(
      seed: request.seed,
      augmentation: request.views > 0
        ? Augmentation(crop: .randomResized(scale: request.leastCropScale...1))
        : Augmentation(crop: .center(fraction: 1), flipProbability: 0),
      tokenizerImage: .tokenizer(size: model.imageSize, interpolation: request.interpolation))
    let header = TokenFileDescription(
      count: dataset.count, views: views, gridHeight: model.gridSize, gridWidth: model.gridSize,
      codebookSize: model.vocabulary, datasetFingerprint: dataset.fingerprint,
      tokenizerChecksum: tokenizer.checksum, seed: request.seed, interpolation: request.interpolation,
      precision: precision.rawValue)

    /// The tokens of all images to the writer, which rank 0 has.
    func encode(_ writer: TokenFileWriter?) throws {
      try communicator.forEachRound(
        of: dataset.count, stretch: request.batchSize * batchesPerRound, done: "encoded ", logger: logger
      ) { range in
        try EncodedPart(
          dataset, samples, range: range, batchSize: request.batchSize, views: views, tokenizer: tokenizer
        ).bytes
      } write: { parts, _ in
        for bytes in parts {
          try EncodedPart(bytes: bytes).forEachBatch(tokensPerView: header.tokensPerView) {
            try writer?.append(tokens: $0, crops: $1, flips: $2)
          }
        }
      }
    }

    if communicator.isRoot {
      try TokenFileWriter.write(to: request.output, header) { try encode($0) }
      logger.notice(
        "\(request.output): \(dataset.count) images, \(views) views of \(model.gridSize) × \(model.gridSize) tokens"
      )
    } else {
      try encode(nil)
    }
    try communicator.barrier()
  }
}

/// The tokens of a stretch of images, in a form that travels between ranks.
private struct EncodedPart {
  /// For each batch and view: the number of images, then tokens, crops and flips, all 32-bit.
  private(set) var bytes: [UInt8] = []

  init(
    _ dataset: ImageDataset, _ samples: SamplePipeline, range: Range<Int>, batchSize: Int, views: Int,
    tokenizer: TrainedTokenizer
  ) throws {
    try dataset.forEachBatch(samples, range: range, batchSize: batchSize, views: views) { batch in
      append([Int32(batch.count)])
      append(tokenizer.model.tokens(try batch.requiredTokenizerImages))
      append(batch.crops.flatMap { [$0.x, $0.y, $0.width, $0.height].map { Int32($0) } })
      append(batch.flips.map { Int32($0 ? 1 : 0) })
    }
  }

  init(bytes: [UInt8]) { self.bytes = bytes }

  private mutating func append<T: BitwiseCopyable>(_ values: [T]) {
    values.withUnsafeBytes { bytes.append(contentsOf: $0) }
  }

  func forEachBatch(
    tokensPerView: Int, _ body: (_ tokens: [Int32], _ crops: [Region], _ flips: [Bool]) throws -> Void
  ) rethrows {
    var position = 0
    func take<T: BitwiseCopyable>(_ count: Int, as type: T.Type) -> [T] {
      let size = count * MemoryLayout<T>.stride
      defer { position += size }
      return bytes.withUnsafeBytes { all in
        (0..<count).map {
          all.loadUnaligned(fromByteOffset: position + $0 * MemoryLayout<T>.stride, as: type)
        }
      }
    }
    while position < bytes.count {
      let count = Int(take(1, as: Int32.self)[0])
      let tokens = take(count * tokensPerView, as: Int32.self)
      let sides = take(count * 4, as: Int32.self).map { Int($0) }
      let flips = take(count, as: Int32.self).map { $0 != 0 }
      let crops = stride(from: 0, to: sides.count, by: 4).map { at in
        Region(x: sides[at], y: sides[at + 1], width: sides[at + 2], height: sides[at + 3])
      }
      try body(tokens, crops, flips)
    }
  }
}

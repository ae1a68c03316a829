import Communication
import Configuration
import Datasets
import Tensors
import Terminal

/// Measures features by k-nearest-neighbor classification on labeled images, spread over the ranks.
///
/// Labels serve this measure alone. The images that are classified are those of a second dataset, or some of the
/// training set's that are left out of the bank; training sees these, too, without their labels.
public struct NeighborEvaluation {
  /// What is compared, and how neighbors vote.
  public struct Settings: Sendable, Equatable {
    /// Most images that are classified.
    public var queries = 2000
    /// Most images of the training set among which neighbors are looked for.
    public var bank = 10000
    /// How many neighbors vote.
    public var neighbors = 20
    /// A neighbor's vote is exp(similarity / temperature).
    public var temperature = 0.07
    /// Side of the square in the middle that is looked at, over the image's short side.
    public var crop = 0.875

    public init() {}
  }

  private let bank: (dataset: ImageDataset, samples: [Int])
  private let queries: (dataset: ImageDataset, samples: [Int])
  private let settings: Settings
  private let pipeline: SamplePipeline
  private let options: Loader.Options

  /// Images that go through the network at once.
  private static let batchSize = 64

  /// The evaluation that a configuration asks for, on the training set and perhaps another, that of `evaluation.path`.
  /// Throws where classes are missing or different.
  package init(
    _ settings: Settings, seed: UInt64, view: ImagePreprocessing, options: Loader.Options,
    dataset: ImageDataset,
    other: ImageDataset?
  ) throws {
    self.settings = settings
    pipeline = SamplePipeline(
      seed: seed, augmentation: Augmentation(crop: .center(fraction: settings.crop), flipProbability: 0),
      image: view)
    self.options = options
    let labeled = try Self.order(dataset, seed: seed)
    guard let other else {
      // At most half are classified: the others are their neighbors.
      let count = min(settings.queries, labeled.count / 2)
      queries = (dataset, Array(labeled.prefix(count)))
      bank = (dataset, Array(labeled.dropFirst(count).prefix(settings.bank)))
      return
    }
    try ClassAgreement.require(
      other.classes, of: "evaluation.path: \(other.path)", as: dataset.classes, of: dataset.path)
    queries = (other, Array(try Self.order(other, seed: seed).prefix(settings.queries)))
    bank = (dataset, Array(labeled.prefix(settings.bank)))
  }

  /// The labeled images of a dataset in random order.
  private static func order(_ dataset: ImageDataset, seed: UInt64) throws -> [Int] {
    var stream = RandomStream(seed: seed, purpose: .evaluation)
    let labeled = stream.permutation(dataset.count).filter { dataset.labels[$0] >= 0 }
    guard labeled.count >= 2 else {
      throw RunError(
        "evaluation.every_steps, evaluation.every_epochs: \(dataset.path) has no labels to evaluate by; leave the "
          + "keys out, or prepare the dataset from folders that are classes")
    }
    return labeled
  }

  /// The share of images whose class the neighbors predict. Collective.
  ///
  /// - Parameters:
  ///   - features: [n, side, side, 3] → [n, width]
  ///   - communicator: The ranks, which share the work.
  ///   - isCancelled: Asked before every batch; where it says so on any rank, the result is nil.
  public func accuracy(
    of features: (Tensor) -> Tensor, communicator: Communicator, unless isCancelled: () -> Bool = { false }
  ) throws -> Double? {
    let known = communicator.stretch(of: bank.samples.count)
    let asked = communicator.stretch(of: queries.samples.count)
    var isWhole = true
    func goesOn() -> Bool {
      isWhole = isWhole && !isCancelled()
      return isWhole
    }
    let (bankVectors, queryVectors) = try communicator.agree {
      (
        try vectors(bank, known, while: goesOn, features),
        try vectors(queries, asked, while: goesOn, features)
      )
    }
    guard try communicator.allReduce(.max, Int64(isWhole ? 0 : 1)) == 0 else { return nil }
    let found = (bankVectors ?? queryVectors)?.shape[1] ?? 0
    let width = Int(try communicator.allReduce(.max, Int64(found)))
    let classes = bank.dataset.classes.count
    var probe = NeighborProbe()
    (probe.k, probe.temperature) = (settings.neighbors, settings.temperature)
    let votes = try probe.votes(
      for: queryVectors ?? Tensor([0, width]), neighbors: bankVectors ?? Tensor([0, width]),
      labels: bank.samples[known].map { bank.dataset.labels[$0] }, classes: classes,
      communicator: communicator)
    var score = ClassificationScore()
    score.add(votes, labels: queries.samples[asked].map { queries.dataset.labels[$0] })
    return try score.summed(over: communicator).top1
  }

  /// The features of some images; nil for none.
  private func vectors(
    _ images: (dataset: ImageDataset, samples: [Int]), _ range: Range<Int>, while goesOn: () -> Bool,
    _ features: (Tensor) -> Tensor
  ) throws -> Tensor? {
    var result: Tensor?
    var row = 0
    try images.dataset.forEachBatch(
      of: Array(images.samples[range]), pipeline, batchSize: Self.batchSize, options: options, while: goesOn
    ) { batch in
      let part = features(try batch.requiredImages)
      let all = result ?? Tensor(uninitialized: [range.count, part.shape[1]])
      result = all
      all.view(at: row * part.shape[1], shape: part.shape).copyElements(from: part)
      row += part.shape[0]
    }
    return result
  }
}

import Datasets
import Imaging
import Tensors

/// A stretch of training, in steps or in passes over the data.
public enum TrainingSpan: Sendable, Equatable {
  case steps(Int)
  case epochs(Double)

  /// The stretch in steps, when a pass over the data has `stepsPerEpoch`.
  public func steps(perEpoch stepsPerEpoch: Int) -> Int {
    switch self {
    case .steps(let steps): steps
    case .epochs(let epochs): Int((epochs * Double(stepsPerEpoch)).rounded())
    }
  }

  /// Reads one of two keys; with neither given, the default, or nil where there is none.
  package static func read(
    _ reader: ConfigurationReader, steps stepsKey: String, epochs epochsKey: String, least: Int,
    default fallback: TrainingSpan?, required: Bool = false
  ) -> TrainingSpan? {
    let given = reader.exclusive([stepsKey, epochsKey], required: required)
    var (steps, epochs): (Int?, Double?) = (nil, nil)
    if given == nil, case .steps(let value) = fallback { steps = value }
    if given == nil, case .epochs(let value) = fallback { epochs = value }
    steps = reader.optional(stepsKey, .int(.atLeast(least)), default: steps)
    epochs = reader.optional(epochsKey, .double(least > 0 ? .epochs() : .epochs(from: 0)), default: epochs)
    return steps.map { .steps($0) } ?? epochs.map { .epochs($0) }
  }
}

/// `data.*`: the images and how they are changed before the model sees them.
public struct DataConfiguration: Sendable, Equatable {
  /// The image dataset, an HDF5 file made by `peco dataset`.
  public var path = ""
  /// Threads a rank that decode and augment images.
  public var workers = 2
  /// Side of the square image the model sees, in pixels.
  public var imageSize = 224
  /// Least and most part of an image's area that a random crop takes.
  public var cropScale: ClosedRange<Double> = 0.08...1
  /// How crops are resized.
  public var interpolation = ResampleFilter.bicubic
  /// Whether half of the images are mirrored.
  public var flip = true
  /// Strength of the random change of brightness, contrast and saturation; 0 leaves colors alone.
  public var colorJitter = 0.0
  /// Subtracted from each channel, on a scale of 0 to 1.
  public var mean = [0.5, 0.5, 0.5]
  /// What each channel is divided by thereafter.
  public var standardDeviation = [0.5, 0.5, 0.5]

  /// The defaults.
  public init() {}

  init(_ reader: ConfigurationReader, defaults: DataConfiguration) {
    path = reader.value("data.path", .text("the path of an image dataset"))
    workers = reader.value("data.workers", .int(.between(1, 256)), default: defaults.workers)
    imageSize = reader.value("data.image_size", .imageSide, default: defaults.imageSize)
    let scale = reader.value(
      "data.crop_scale", .list(of: .double(.between(0.001, 1)), count: 2),
      default: [defaults.cropScale.lowerBound, defaults.cropScale.upperBound])
    reader.require(
      scale[0] <= scale[1], "data.crop_scale",
      "found [\(scale[0]), \(scale[1])], expected the smaller part of the area first")
    cropScale = min(scale[0], scale[1])...max(scale[0], scale[1])
    interpolation = reader.value("data.interpolation", .choice(), default: defaults.interpolation)
    flip = reader.value("data.flip", .bool, default: defaults.flip)
    colorJitter = reader.value("data.color_jitter", .double(.between(0, 1)), default: defaults.colorJitter)
    mean = reader.value(
      "data.mean", .list(of: .double(.between(0, 1)), count: 3), default: defaults.mean)
    standardDeviation = reader.value(
      "data.std", .list(of: .double(.above(0)), count: 3), default: defaults.standardDeviation)
  }
}

/// `training.*`: how long, and how many images at a time.
public struct TrainingConfiguration: Sendable, Equatable {
  /// Length of the run, which the schedules span.
  public var length = TrainingSpan.epochs(1)
  /// Images a step, over all ranks.
  public var globalBatchSize = 128
  /// Most images that go through the model at once on one rank; a rank's share of the global batch is cut
  /// into pieces of this size whose gradients are added up.
  public var microBatchSize = 16
  /// The number format of products.
  public var precision = Precision.float32
  /// What backward computes again to save memory.
  public var activationCheckpointing = ActivationCheckpointing.selective
  /// Leave after this step as if pre-empted, with a checkpoint written; nil runs to the end.
  public var stopAfterStep: Int?
  /// Threads a rank computes with; nil shares the machine's processors among the ranks on it.
  public var threads: Int?

  /// The most threads a rank may have.
  public static let mostThreads = 1024

  /// The defaults.
  public init() {}

  init(_ reader: ConfigurationReader, defaults: TrainingConfiguration) {
    length =
      TrainingSpan.read(
        reader, steps: "training.steps", epochs: "training.epochs", least: 1, default: nil, required: true)
      ?? defaults.length
    globalBatchSize = reader.value(
      "training.global_batch_size", .int(.atLeast(1)), default: defaults.globalBatchSize)
    microBatchSize = reader.value(
      "training.micro_batch_size", .int(.atLeast(1)), default: defaults.microBatchSize)
    precision = reader.value("training.precision", .choice(), default: defaults.precision)
    activationCheckpointing = reader.value(
      "training.activation_checkpointing", .choice(), default: defaults.activationCheckpointing)
    stopAfterStep = reader.optional(
      "training.stop_after_step", .int(.atLeast(1)), default: defaults.stopAfterStep)
    threads = reader.optional(
      "training.threads", .int(.between(1, Self.mostThreads)), default: defaults.threads)
  }
}

/// `checkpoint.*`: when a checkpoint is written besides the last step's, and how many stay.
public struct CheckpointConfiguration: Sendable, Equatable {
  /// After every so many steps.
  public var everySteps: Int?
  /// After every so many passes over the data.
  public var everyEpochs: Double?
  /// When so many minutes have gone by since the last.
  public var everyMinutes: Double? = 30
  /// How many of the newest stay.
  public var keep = 3

  /// The defaults.
  public init() {}

  init(_ reader: ConfigurationReader, defaults: CheckpointConfiguration) {
    everySteps = reader.optional(
      "checkpoint.every_steps", .int(.atLeast(1)), default: defaults.everySteps)
    everyEpochs = reader.optional(
      "checkpoint.every_epochs", .double(.epochs()), default: defaults.everyEpochs)
    everyMinutes = reader.optional(
      "checkpoint.every_minutes", .double(.above(0)), default: defaults.everyMinutes)
    keep = reader.value("checkpoint.keep", .int(.atLeast(1)), default: defaults.keep)
  }
}

/// `communication.*`: how gradients are summed over micro-batches and ranks.
public struct CommunicationConfiguration: Sendable, Equatable {
  /// A precision of sums.
  public enum Dtype: String, Sendable, CaseIterable {
    case bfloat16, float32, float64
  }

  /// How much gradient is reduced at once.
  public var bucketMegabytes = 8.0
  /// The precision of the sums. With `float64` and the same micro-batches a run is the same to the bit on any number
  /// of ranks; it takes the memory and the messages of two more gradients. With `bfloat16` ranks send half the bytes.
  public var reduceDtype = Dtype.float32

  /// The defaults.
  public init() {}

  init(_ reader: ConfigurationReader, defaults: CommunicationConfiguration) {
    bucketMegabytes = reader.value(
      "communication.bucket_megabytes", .double(.between(0.01, 1024)), default: defaults.bucketMegabytes)
    reduceDtype = reader.value("communication.reduce_dtype", .choice(), default: defaults.reduceDtype)
  }
}

/// What every run has in its configuration, whatever it trains.
public struct SharedConfiguration: Sendable, Equatable {
  /// Decides every random draw of the run.
  public var seed: UInt64 = 0
  public var data = DataConfiguration()
  public var training = TrainingConfiguration()
  public var optimizer = OptimizerConfiguration()
  public var checkpoint = CheckpointConfiguration()
  /// `log.every_steps`: steps from one line to the next where there is no terminal.
  public var logEverySteps = 10
  public var communication = CommunicationConfiguration()

  /// The defaults.
  public init() {}

  /// Reads the shared keys; those not given keep the task's defaults.
  public init(_ reader: ConfigurationReader, defaults: SharedConfiguration) {
    seed = reader.value("seed", .seed, default: defaults.seed)
    data = DataConfiguration(reader, defaults: defaults.data)
    training = TrainingConfiguration(reader, defaults: defaults.training)
    optimizer = OptimizerConfiguration(reader, defaults: defaults.optimizer)
    checkpoint = CheckpointConfiguration(reader, defaults: defaults.checkpoint)
    logEverySteps = reader.value("log.every_steps", .int(.atLeast(1)), default: defaults.logEverySteps)
    communication = CommunicationConfiguration(reader, defaults: defaults.communication)
  }
}

/// The configuration of one task.
public protocol RunConfiguration: Sendable, Equatable {
  /// The keys every task has.
  var shared: SharedConfiguration { get }
  /// Asks the reader for every key of the task.
  init(_ reader: ConfigurationReader)
  /// What the size of a micro-batch is to be a multiple of.
  var microBatchMultiple: Int { get }
  /// The images of the dataset that are used, ascending; nil for all.
  func subset(of dataset: ImageDataset) throws -> [Int]?
}

extension RunConfiguration {
  public var microBatchMultiple: Int { 1 }
  public func subset(of dataset: ImageDataset) throws -> [Int]? { nil }
}

extension RunConfiguration {
  /// Reads a configuration file.
  ///
  /// - Returns: The configuration, and as YAML with all defaults filled in, for `RUN/config.yaml`.
  /// - Throws: `ConfigurationError` with all that is wrong.
  public static func load(
    file: String, overrides: [String] = []
  ) throws -> (configuration: Self, resolved: String) {
    let reader = try ConfigurationReader(file: file, overrides: overrides)
    return (Self(reader), try reader.finish())
  }

  /// Reads a configuration from a text.
  public static func load(
    yaml: String, source: String, overrides: [String] = []
  ) throws -> (configuration: Self, resolved: String) {
    let reader = try ConfigurationReader(yaml: yaml, source: source, overrides: overrides)
    return (Self(reader), try reader.finish())
  }
}

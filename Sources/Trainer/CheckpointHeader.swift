import Configuration
import Storage

/// What a checkpoint says about itself: attributes of the file, quick to read.
public struct CheckpointHeader: Sendable, Equatable {
  /// The layout this program writes.
  public static let currentFormat = 2

  /// Layout of the file.
  public var format = CheckpointHeader.currentFormat
  /// The task that was being trained; `imported` for weights that came from elsewhere.
  public var task: String
  /// Steps done.
  public var step: Int
  /// Passes over the data completed.
  public var epoch: Int
  /// Images of the present pass already used, over all ranks.
  public var samplePosition: Int
  /// Updates the optimizer has made; fewer than `step` where steps were skipped.
  public var updates: Int
  /// The seed of the run.
  public var seed: UInt64
  /// The resolved configuration, YAML.
  public var configuration: String
  /// The names of the classes that a classifier tells apart, in the order of its logits; nil for other models, and
  /// where they are not known.
  public var classes: [String]?
  /// What the run reads beside its configuration, told from others by checksums.
  public var inputs: [RunInput: UInt64]

  public init(
    task: String, step: Int, epoch: Int, samplePosition: Int, updates: Int, seed: UInt64,
    configuration: String, classes: [String]? = nil, inputs: [RunInput: UInt64] = [:]
  ) {
    self.task = task
    self.step = step
    self.epoch = epoch
    self.samplePosition = samplePosition
    self.updates = updates
    self.seed = seed
    self.configuration = configuration
    self.classes = classes
    self.inputs = inputs
  }

  /// The task of weights that came from elsewhere; nothing is trained.
  public static let imported = "imported"

  /// Where the names of the classes lie; there may be more of them than an attribute holds.
  private static let classesName = "classes"

  func write(to file: HDF5File) throws {
    try file.setAttribute("format", format)
    try file.setAttribute("task", task)
    try file.setAttribute("step", step)
    try file.setAttribute("epoch", epoch)
    try file.setAttribute("sample_position", samplePosition)
    try file.setAttribute("updates", updates)
    try file.setAttribute("seed", seed)
    try file.setAttribute("configuration", configuration)
    for (input, checksum) in inputs { try file.setAttribute(input.attribute, checksum) }
    if let classes { try file.write(strings: classes, to: Self.classesName) }
  }

  init(reading file: HDF5File) throws {
    func required<Value: HDF5AttributeValue>(_ name: String) throws -> Value {
      guard let value = try file.attribute(name, as: Value.self) else {
        throw CheckpointError(
          path: file.path, problem: "has no attribute '\(name)': this is not a checkpoint of peco",
          advice: "give a file that peco wrote under RUN/checkpoints")
      }
      return value
    }
    format = try required("format")
    guard format == Self.currentFormat else {
      throw CheckpointError(
        path: file.path, problem: "has format \(format), this program reads \(Self.currentFormat)",
        advice: "train or import it again with this version")
    }
    task = try required("task")
    step = try required("step")
    epoch = try required("epoch")
    samplePosition = try required("sample_position")
    updates = try required("updates")
    seed = try required("seed")
    configuration = try required("configuration")
    inputs = [:]
    for input in RunInput.allCases { inputs[input] = try file.attribute(input.attribute, as: UInt64.self) }
    if try file.exists(Self.classesName) { classes = try file.readStrings(Self.classesName) }
  }
}

/// The name and shape of a dataset in a checkpoint.
struct CheckpointEntry: Hashable {
  let name: String
  let shape: [Int]
}

import Configuration
import Storage

/// What a checkpoint says about itself: attributes of the file, quick to read.
public struct CheckpointHeader: Sendable, Equatable {
  /// The layout this program writes.
  public static let currentFormat = 3

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
  /// What the model is; nil where it serves nowhere else.
  public var card: Card?
  /// Checksums of what the run reads beside its configuration, by the names of the inputs.
  public var inputs: [String: UInt64]

  public init(
    task: String, step: Int, epoch: Int, samplePosition: Int, updates: Int, seed: UInt64,
    configuration: String, card: Card? = nil, inputs: [String: UInt64] = [:]
  ) {
    self.task = task
    self.step = step
    self.epoch = epoch
    self.samplePosition = samplePosition
    self.updates = updates
    self.seed = seed
    self.configuration = configuration
    self.card = card
    self.inputs = inputs
  }

  /// The task of weights that came from elsewhere; nothing is trained.
  public static let imported = "imported"

  private static let cardAttribute = "model_card"
  private static let checksumSuffix = "_checksum"

  func write(to file: HDF5File) throws {
    try file.setAttribute("format", format)
    try file.setAttribute("task", task)
    try file.setAttribute("step", step)
    try file.setAttribute("epoch", epoch)
    try file.setAttribute("sample_position", samplePosition)
    try file.setAttribute("updates", updates)
    try file.setAttribute("seed", seed)
    try file.setAttribute("configuration", configuration)
    for (name, checksum) in inputs { try file.setAttribute(name + Self.checksumSuffix, checksum) }
    if let card { try file.setAttribute(Self.cardAttribute, try card.json()) }
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
    for attribute in try file.attributes() where attribute.hasSuffix(Self.checksumSuffix) {
      let name = String(attribute.dropLast(Self.checksumSuffix.count))
      inputs[name] = try file.attribute(attribute, as: UInt64.self)
    }
    if let text = try file.attribute(Self.cardAttribute, as: String.self) {
      do {
        card = try Card(json: text)
      } catch let error as ModelCardError {
        throw CheckpointError(path: file.path, card: error)
      }
    }
  }
}

/// The name and shape of a dataset in a checkpoint.
struct CheckpointEntry: Hashable {
  let name: String
  let shape: [Int]
}

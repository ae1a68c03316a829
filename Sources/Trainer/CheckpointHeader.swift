import Configuration
import Foundation
import Storage
import Terminal

/// What a checkpoint says about itself: attributes of the file, quick to read.
public struct CheckpointHeader: Sendable, Equatable {
  /// The layout this program writes.
  public static let currentFormat = 4

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
  /// The resolved configuration, YAML: a record of the run for people. Empty where nothing was trained.
  public var configuration: String
  /// What the model is; nil where it serves nowhere else.
  public var card: Card?
  /// What the run reads beside its configuration, by the names of the inputs.
  public var inputs: [String: RunInput.Record]
  /// Where weights came from that no run of this program trained; nil for others.
  public var origin: Origin?

  public init(
    task: String, step: Int, epoch: Int, samplePosition: Int, updates: Int, seed: UInt64,
    configuration: String, card: Card? = nil, inputs: [String: RunInput.Record] = [:]
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

  /// Where imported weights came from.
  public struct Origin: Codable, Sendable, Equatable {
    /// The names of the files.
    public var files: [String]
    /// Whose names the weights had there.
    public var layout: String

    /// - Parameters:
    ///   - paths: Of the files; their names alone are kept.
    ///   - layout: Whose names the weights have there.
    public init(files paths: [String], layout: String) {
      files = paths.map { URL(fileURLWithPath: $0).lastPathComponent }
      self.layout = layout
    }
  }

  /// The header of weights that came from elsewhere.
  ///
  /// - Parameters:
  ///   - task: The task whose checkpoints they can stand for; `imported` where there is none.
  ///   - origin: Where they came from.
  ///   - card: What the model is.
  public init(imported task: String = Self.imported, from origin: Origin, card: Card) {
    self.init(
      task: task, step: 0, epoch: 0, samplePosition: 0, updates: 0, seed: 0, configuration: "", card: card)
    self.origin = origin
  }

  /// The task of weights that came from elsewhere; nothing is trained.
  public static let imported = "imported"

  private static let cardAttribute = "model_card"
  private static let originAttribute = "origin"
  private static let checksumSuffix = "_checksum"
  private static let pathSuffix = "_path"

  func write(to file: HDF5File) throws {
    try file.setAttribute("format", format)
    try file.setAttribute("task", task)
    try file.setAttribute("step", step)
    try file.setAttribute("epoch", epoch)
    try file.setAttribute("sample_position", samplePosition)
    try file.setAttribute("updates", updates)
    try file.setAttribute("seed", seed)
    try file.setAttribute("configuration", configuration)
    for (name, input) in inputs {
      try file.setAttribute(name + Self.checksumSuffix, input.checksum)
      if let path = input.path { try file.setAttribute(name + Self.pathSuffix, path) }
    }
    if let card { try file.setAttribute(Self.cardAttribute, try card.json()) }
    if let origin { try file.setAttribute(Self.originAttribute, try JSONText.encode(origin)) }
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
      guard let checksum = try file.attribute(attribute, as: UInt64.self) else { continue }
      let path = try file.attribute(name + Self.pathSuffix, as: String.self)
      inputs[name] = RunInput.Record(checksum: checksum, path: path)
    }
    if let text = try file.attribute(Self.originAttribute, as: String.self) {
      do {
        origin = try JSONDecoder().decode(Origin.self, from: Data(text.utf8))
      } catch {
        throw CheckpointError(
          path: file.path, problem: "says '\(text.prefix(40))' of where its weights came from",
          advice: "import them again")
      }
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

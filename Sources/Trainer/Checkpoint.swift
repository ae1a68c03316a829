import Configuration
import Foundation
import Storage
import Tensors

/// Checkpoint files: a model, its optimizer's moments and how far the run has come, in HDF5.
///
/// `/model/NAME`, `/optimizer/first_moment/NAME`, `/optimizer/second_moment/NAME` and `/extra/NAME` are float32
/// with Fletcher-32 checksums; the header's attributes are on the file itself, and `FileSeal` covers all of it. A model
/// that is trained against the other has the same below `/opponent`.
public enum Checkpoint {
  private static let model = "model"
  private static let firstMoment = "optimizer/first_moment"
  private static let secondMoment = "optimizer/second_moment"
  private static let extra = "extra"
  private static let opponentModel = "opponent/model"
  private static let opponentFirstMoment = "opponent/optimizer/first_moment"
  private static let opponentSecondMoment = "opponent/optimizer/second_moment"
  private static let opponentUpdates = "opponent_updates"

  // MARK: Writing

  /// Writes a checkpoint so that `path` holds either what it held before or all of the new one.
  ///
  /// Arrays go to the file straight from where they lie.
  ///
  /// - Parameters:
  ///   - parameters: The model; frozen parameters are left out.
  ///   - optimizer: Nil leaves the moments out: such a file cannot be resumed from.
  ///   - extras: Further arrays by name.
  ///   - opponent: The optimizer, with its model, of an opponent.
  public static func write(
    _ header: CheckpointHeader, parameters: [Parameter], optimizer: Optimizer?,
    extras: [String: Tensor] = [:], opponent: Optimizer? = nil, to path: String
  ) throws {
    var arrays: [(entry: CheckpointEntry, pointer: UnsafeMutablePointer<Float>)] = []
    for parameter in parameters where parameter.kind != .frozen {
      arrays.append((entry(model, parameter), parameter.value.pointer))
    }
    func appendMoments(_ optimizer: Optimizer, _ first: String, _ second: String) {
      for (parameter, range) in zip(optimizer.flat.parameters, optimizer.flat.ranges) {
        arrays.append((entry(first, parameter), optimizer.firstMoment.pointer + range.lowerBound))
        arrays.append((entry(second, parameter), optimizer.secondMoment.pointer + range.lowerBound))
      }
    }
    if let optimizer { appendMoments(optimizer, firstMoment, secondMoment) }
    if let opponent {
      for parameter in opponent.flat.parameters {
        arrays.append((entry(opponentModel, parameter), parameter.value.pointer))
      }
      appendMoments(opponent, opponentFirstMoment, opponentSecondMoment)
    }
    for (name, tensor) in extras.sorted(by: { $0.key < $1.key }) {
      arrays.append((CheckpointEntry(name: "\(extra)/\(name)", shape: tensor.shape), tensor.pointer))
    }
    try HDF5File.atomicallyWrite(to: path, sealed: true) { file in
      try header.write(to: file)
      if let opponent { try file.setAttribute(opponentUpdates, opponent.updates) }
      for (entry, pointer) in arrays {
        let values = UnsafeBufferPointer(start: UnsafePointer(pointer), count: entry.shape.reduce(1, *))
        try file.write(values, shape: entry.shape, to: entry.name, checksum: true)
      }
    }
  }

  // MARK: Reading

  /// What a checkpoint says about itself; throws where the file is damaged.
  @discardableResult
  public static func header(of path: String) throws -> CheckpointHeader {
    let file = try open(path)
    defer { try? file.close() }
    return try CheckpointHeader(reading: file)
  }

  /// Fills a model, and the moments of its optimizer, from a checkpoint.
  ///
  /// Every parameter must be there under its name and in its shape, and nothing else; otherwise nothing is
  /// changed and the error lists the differences.
  ///
  /// - Parameters:
  ///   - parameters: The model. Frozen ones take part only if `includingFrozen` (a trained tokenizer, now only
  ///     used).
  ///   - optimizer: Nil leaves the moments unread.
  ///   - kind: What the checkpoint must be of; nil accepts any.
  ///   - opponent: The optimizer of an opponent, filled with its model and moments; nil leaves those unread.
  @discardableResult
  public static func load(
    _ path: String, into parameters: [Parameter], optimizer: Optimizer? = nil, kind: RunKind? = nil,
    includingFrozen: Bool = false, opponent: Optimizer? = nil
  ) throws -> CheckpointHeader {
    let file = try open(path)
    defer { try? file.close() }
    let header = try CheckpointHeader(reading: file)
    if let kind, kind != header.kind {
      throw CheckpointError(
        path: path, problem: "is of kind '\(header.kind.rawValue)', expected '\(kind.rawValue)'",
        advice: kind == .tokenizer ? "give a checkpoint of `peco tokenizer train`" : nil)
    }
    let wanted = parameters.filter { includingFrozen || $0.kind != .frozen }
    try compare(file, model, wanted)
    if let optimizer {
      guard try file.exists(firstMoment) else {
        throw CheckpointError(
          path: path, problem: "holds a model without its optimizer's moments",
          advice: "a run can only be resumed from a checkpoint that training wrote")
      }
      try compare(file, firstMoment, optimizer.flat.parameters)
      try compare(file, secondMoment, optimizer.flat.parameters)
    }
    let opponentUpdates = try opponent.map { try compareOpponent(file, $0) }
    for parameter in wanted {
      try read(file, entry(model, parameter), into: parameter.value.pointer)
    }
    if let optimizer {
      try readMoments(file, firstMoment, secondMoment, into: optimizer)
      optimizer.updates = header.updates
    }
    if let opponent, let opponentUpdates {
      for parameter in opponent.flat.parameters {
        try read(file, entry(opponentModel, parameter), into: parameter.value.pointer)
      }
      try readMoments(file, opponentFirstMoment, opponentSecondMoment, into: opponent)
      opponent.updates = opponentUpdates
    }
    return header
  }

  /// Sees to it that a file holds an opponent and its moments; the updates its optimizer has made.
  private static func compareOpponent(_ file: HDF5File, _ opponent: Optimizer) throws -> Int {
    guard let updates = try file.attribute(opponentUpdates, as: Int.self) else {
      throw CheckpointError(
        path: file.path, problem: "holds no opponent: the run had no adversarial loss",
        advice: "begin a new run; adversarial.start_step says when the loss sets in")
    }
    for group in [opponentModel, opponentFirstMoment, opponentSecondMoment] {
      try compare(file, group, opponent.flat.parameters)
    }
    return updates
  }

  private static func readMoments(
    _ file: HDF5File, _ first: String, _ second: String, into optimizer: Optimizer
  ) throws {
    for (parameter, range) in zip(optimizer.flat.parameters, optimizer.flat.ranges) {
      try read(file, entry(first, parameter), into: optimizer.firstMoment.pointer + range.lowerBound)
      try read(file, entry(second, parameter), into: optimizer.secondMoment.pointer + range.lowerBound)
    }
  }

  /// The arrays saved beside model and optimizer, by name.
  public static func extras(of path: String) throws -> [String: Tensor] {
    let file = try open(path)
    defer { try? file.close() }
    guard try file.exists(extra) else { return [:] }
    var result: [String: Tensor] = [:]
    for entry in try entries(of: file, under: extra) {
      let tensor = Tensor(uninitialized: entry.shape)
      try read(file, entry, into: tensor.pointer)
      result[String(entry.name.dropFirst(extra.count + 1))] = tensor
    }
    return result
  }

  // MARK: Inside

  /// Opens a file that is whole, to the bit; see `FileSeal`.
  private static func open(_ path: String) throws -> HDF5File {
    try FileSeal.verify(path)
    return try HDF5File(opening: path)
  }

  private static func entry(_ group: String, _ parameter: Parameter) -> CheckpointEntry {
    CheckpointEntry(name: "\(group)/\(parameter.name)", shape: parameter.shape)
  }

  private static func entries(of file: HDF5File, under group: String) throws -> [CheckpointEntry] {
    try file.listRecursively(group).map { CheckpointEntry(name: $0, shape: try file.shape(of: $0)) }
  }

  private static func read(
    _ file: HDF5File, _ entry: CheckpointEntry, into pointer: UnsafeMutablePointer<Float>
  ) throws {
    let values = UnsafeMutableBufferPointer(start: pointer, count: entry.shape.reduce(1, *))
    try file.read(entry.name, into: values, shape: entry.shape)
  }

  private static func compare(_ file: HDF5File, _ group: String, _ parameters: [Parameter]) throws {
    let found = try file.exists(group) ? entries(of: file, under: group) : []
    let shapes = Dictionary(uniqueKeysWithValues: found.map { ($0.name, $0.shape) })
    var differences: [String] = []
    var expected: Set<String> = []
    for parameter in parameters {
      let entry = entry(group, parameter)
      expected.insert(entry.name)
      switch shapes[entry.name] {
      case nil: differences.append("\(parameter.name) \(entry.shape) is missing")
      case let shape? where shape != entry.shape:
        differences.append("\(parameter.name) is \(shape), the model expects \(entry.shape)")
      default: break
      }
    }
    for entry in found where !expected.contains(entry.name) {
      differences.append("\(entry.name.dropFirst(group.count + 1)) \(entry.shape) is unknown to the model")
    }
    guard !differences.isEmpty else { return }
    let shown = differences.prefix(5).joined(separator: ", ")
    let more = differences.count > 5 ? ", and \(differences.count - 5) more" : ""
    throw CheckpointError(
      path: file.path,
      problem: "its /\(group) (\(found.count) arrays) is not of this model's architecture "
        + "(\(parameters.count) arrays): \(shown)\(more)",
      advice: "check the model's part of the configuration against the one stored in the checkpoint")
  }
}

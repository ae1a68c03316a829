import Foundation
import Storage
import Tensors

/// Checkpoint files: a model, its optimizer's moments and how far the run has come, in HDF5.
///
/// `/model/NAME`, `/optimizer/first_moment/NAME`, `/optimizer/second_moment/NAME` and `/extra/NAME` are float32
/// with Fletcher-32 checksums; the header's attributes are on the file itself, and `FileSeal` covers all of it.
public enum Checkpoint {
  private static let model = "model"
  private static let firstMoment = "optimizer/first_moment"
  private static let secondMoment = "optimizer/second_moment"
  private static let extra = "extra"

  // MARK: Writing

  /// Writes a checkpoint so that `path` holds either what it held before or all of the new one.
  ///
  /// Arrays go to the file straight from where they lie.
  ///
  /// - Parameters:
  ///   - parameters: The model; frozen parameters are left out.
  ///   - optimizer: Nil leaves the moments out: such a file cannot be resumed from.
  ///   - extras: Further arrays by name.
  public static func write(
    _ header: CheckpointHeader, parameters: [Parameter], optimizer: Optimizer?,
    extras: [String: Tensor] = [:], to path: String
  ) throws {
    var arrays: [(entry: CheckpointEntry, pointer: UnsafeMutablePointer<Float>)] = []
    for parameter in parameters where parameter.kind != .frozen {
      arrays.append((entry(model, parameter), parameter.value.pointer))
    }
    if let optimizer {
      for (parameter, range) in zip(optimizer.flat.parameters, optimizer.flat.ranges) {
        arrays.append((entry(firstMoment, parameter), optimizer.firstMoment.pointer + range.lowerBound))
        arrays.append((entry(secondMoment, parameter), optimizer.secondMoment.pointer + range.lowerBound))
      }
    }
    for (name, tensor) in extras.sorted(by: { $0.key < $1.key }) {
      arrays.append((CheckpointEntry(name: "\(extra)/\(name)", shape: tensor.shape), tensor.pointer))
    }
    try HDF5File.atomicallyWrite(to: path, sealed: true) { file in
      try header.write(to: file)
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
  @discardableResult
  public static func load(
    _ path: String, into parameters: [Parameter], optimizer: Optimizer? = nil, kind: RunKind? = nil,
    includingFrozen: Bool = false
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
    for parameter in wanted {
      try read(file, entry(model, parameter), into: parameter.value.pointer)
    }
    if let optimizer {
      for (parameter, range) in zip(optimizer.flat.parameters, optimizer.flat.ranges) {
        try read(
          file, entry(firstMoment, parameter), into: optimizer.firstMoment.pointer + range.lowerBound)
        try read(
          file, entry(secondMoment, parameter), into: optimizer.secondMoment.pointer + range.lowerBound)
      }
      optimizer.updates = header.updates
    }
    return header
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

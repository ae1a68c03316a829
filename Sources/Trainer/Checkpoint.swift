import Storage
import Tensors

/// A unit as a checkpoint holds it: its parameters, and the moments of its optimizer if it has one.
public struct CheckpointUnit {
  /// The unit's name, the group its parameters lie in; `model` for the model.
  public let name: String
  /// Frozen ones are left out of a file.
  public let parameters: [Parameter]
  /// Nil leaves the moments out.
  public let optimizer: Optimizer?

  /// A unit of a training task, or a model alone.
  public init(name: String = CheckpointUnit.model, parameters: [Parameter], optimizer: Optimizer? = nil) {
    (self.name, self.parameters, self.optimizer) = (name, parameters, optimizer)
  }

  /// The name of the unit that every checkpoint has.
  public static let model = "model"

  /// The groups of the first and of the second moment.
  fileprivate var moments: (first: String, second: String) {
    let group = name == Self.model ? "optimizer" : "optimizer/\(name)"
    return ("\(group)/first_moment", "\(group)/second_moment")
  }

  /// The attribute that holds the updates of the optimizer; the model's is the header's.
  fileprivate var updatesAttribute: String { "\(name)_updates" }
}

/// Checkpoint files: a task's units, their optimizers' moments and how far the run has come, in HDF5.
///
/// `/model/NAME`, `/optimizer/first_moment/NAME` and `/optimizer/second_moment/NAME` are float32 with Fletcher-32
/// checksums. Another unit has `/UNIT/NAME`, and its moments below `/optimizer/UNIT`. The header's attributes are on
/// the file itself, and `FileSeal` covers all of it.
public enum Checkpoint {
  // MARK: Writing

  /// Writes a checkpoint so that `path` holds either what it held before or all of the new one.
  ///
  /// Arrays go to the file straight from where they lie. Units without optimizers cannot be resumed from.
  public static func write(_ header: CheckpointHeader, units: [CheckpointUnit], to path: String) throws {
    var arrays: [(entry: CheckpointEntry, values: Tensor)] = []
    for unit in units {
      for parameter in unit.parameters where parameter.kind != .frozen {
        arrays.append((entry(unit.name, parameter), parameter.value))
      }
    }
    for unit in units {
      guard let optimizer = unit.optimizer else { continue }
      for (parameter, range) in zip(optimizer.flat.parameters, optimizer.flat.ranges) {
        let moments = optimizer.moments(in: range)
        arrays.append((entry(unit.moments.first, parameter), moments.first))
        arrays.append((entry(unit.moments.second, parameter), moments.second))
      }
    }
    try HDF5File.atomicallyWrite(to: path, sealed: true) { file in
      try header.write(to: file)
      for unit in units where unit.name != CheckpointUnit.model {
        if let optimizer = unit.optimizer { try file.setAttribute(unit.updatesAttribute, optimizer.updates) }
      }
      for (entry, values) in arrays {
        try values.withUnsafeElements {
          try file.write($0, shape: entry.shape, to: entry.name, checksum: true)
        }
      }
    }
  }

  /// Writes a model alone.
  public static func write(
    _ header: CheckpointHeader, parameters: [Parameter], optimizer: Optimizer? = nil, to path: String
  ) throws {
    try write(header, units: [CheckpointUnit(parameters: parameters, optimizer: optimizer)], to: path)
  }

  // MARK: Reading

  /// What a checkpoint says about itself; throws where the file is damaged.
  @discardableResult
  public static func header(of path: String) throws -> CheckpointHeader {
    let file = try open(path)
    defer { try? file.close() }
    return try CheckpointHeader(reading: file)
  }

  /// Fills units, and the moments of their optimizers, from a checkpoint.
  ///
  /// Every parameter must be there under its name and in its shape, and nothing else; otherwise nothing is
  /// changed and the error lists the differences.
  ///
  /// - Parameters:
  ///   - path: The checkpoint.
  ///   - units: Those wanted; one without an optimizer leaves its moments unread.
  ///   - task: The task the checkpoint must be of; nil accepts any.
  ///   - includingFrozen: Whether frozen parameters take part: a trained model that is now only used.
  @discardableResult
  public static func load(
    _ path: String, into units: [CheckpointUnit], task: String? = nil, includingFrozen: Bool = false
  ) throws -> CheckpointHeader {
    let file = try open(path)
    defer { try? file.close() }
    let header = try CheckpointHeader(reading: file)
    if let task, task != header.task {
      throw CheckpointError(path: path, problem: "is of task '\(header.task)', expected '\(task)'")
    }
    func wanted(_ unit: CheckpointUnit) -> [Parameter] {
      unit.parameters.filter { includingFrozen || $0.kind != .frozen }
    }
    var updates: [Int?] = []
    for unit in units {
      guard try unit.name == CheckpointUnit.model || file.exists(unit.name) else {
        throw CheckpointError(
          path: path, problem: "holds no \(unit.name): the run was trained without it",
          advice: "begin a new run, or leave the setting that adds it as it was")
      }
      try compare(file, unit.name, wanted(unit))
      updates.append(try compareMoments(file, unit, header))
    }
    for (unit, updates) in zip(units, updates) {
      for parameter in wanted(unit) {
        try read(file, entry(unit.name, parameter), into: parameter.value)
      }
      guard let optimizer = unit.optimizer, let updates else { continue }
      for (parameter, range) in zip(optimizer.flat.parameters, optimizer.flat.ranges) {
        let moments = optimizer.moments(in: range)
        try read(file, entry(unit.moments.first, parameter), into: moments.first)
        try read(file, entry(unit.moments.second, parameter), into: moments.second)
      }
      optimizer.updates = updates
    }
    return header
  }

  /// Fills a model, and the moments of its optimizer.
  @discardableResult
  public static func load(
    _ path: String, into parameters: [Parameter], optimizer: Optimizer? = nil, task: String? = nil,
    includingFrozen: Bool = false
  ) throws -> CheckpointHeader {
    try load(
      path, into: [CheckpointUnit(parameters: parameters, optimizer: optimizer)], task: task,
      includingFrozen: includingFrozen)
  }

  /// Sees to it that a file holds the moments of a unit's optimizer; the updates it has made, nil without an optimizer.
  private static func compareMoments(
    _ file: HDF5File, _ unit: CheckpointUnit, _ header: CheckpointHeader
  ) throws -> Int? {
    guard let optimizer = unit.optimizer else { return nil }
    let isModel = unit.name == CheckpointUnit.model
    let updates = isModel ? header.updates : try file.attribute(unit.updatesAttribute, as: Int.self)
    guard let updates, try file.exists(unit.moments.first) else {
      throw CheckpointError(
        path: file.path, problem: "holds a \(unit.name) without its optimizer's moments",
        advice: "a run can only be resumed from a checkpoint that training wrote")
    }
    try compare(file, unit.moments.first, optimizer.flat.parameters)
    try compare(file, unit.moments.second, optimizer.flat.parameters)
    return updates
  }

  /// Whether a unit has a parameter of this name.
  package static func holds(_ unit: String, _ name: String, in path: String) throws -> Bool {
    let file = try open(path)
    defer { try? file.close() }
    return try file.exists(unit) && file.exists("\(unit)/\(name)")
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

  private static func read(_ file: HDF5File, _ entry: CheckpointEntry, into values: Tensor) throws {
    try values.withUnsafeMutableElements {
      try file.read(entry.name, into: $0, shape: entry.shape)
      guard let place = $0.firstIndex(where: { !$0.isFinite }) else { return }
      throw CheckpointError(
        path: file.path, problem: "its \(entry.name) has the value \($0[place]) (element \(place))",
        advice: "the training that wrote it diverged; go on from an earlier checkpoint")
    }
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

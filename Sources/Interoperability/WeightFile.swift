import Hashing
import Storage
import Tensors
import Terminal
import Trainer

/// Weights by our names, out of a safetensors file or a checkpoint of `peco`.
public struct WeightFile {
  public let path: String
  /// Shapes by name; names begin where the network does.
  public let shapes: [String: [Int]]
  /// What they begin with in the file and do not here.
  package let prefix: String
  /// The free-form strings in the header of a safetensors file.
  package let metadata: [String: String]
  /// Names in the file that found no place.
  let unmatched: [UnmatchedName]
  private let read: (String) throws -> [Float]

  /// Opens a file with the names of a network of ours.
  ///
  /// - Parameters:
  ///   - path: A safetensors file, or a checkpoint.
  ///   - unit: Which unit of a checkpoint: the model, or an average of its weights.
  ///   - anchor: A name that the network has, like `patch_embed.proj.weight`.
  public init(opening path: String, unit: String = CheckpointUnit.model, anchor: String) throws {
    try self.init(StoredTensors.open(path, unit: unit), named: NameTable("peco", anchor: anchor))
  }

  /// Gives the tensors of a file our names.
  init(_ stored: StoredTensors, named table: NameTable) throws {
    let mapping = try NameMapping(stored.shapes, by: table, of: stored.path)
    (path, metadata) = (stored.path, stored.metadata)
    (shapes, prefix, unmatched) = (mapping.shapes, mapping.prefix, mapping.unmatched)
    read = { name in try (mapping.sources[name] ?? []).flatMap { try Self.requireFinite($0, of: stored) } }
  }

  /// Those of another file's weights whose names satisfy a condition.
  init(_ other: WeightFile, where isIncluded: (String) -> Bool) {
    (path, prefix, metadata, unmatched) = (other.path, other.prefix, other.metadata, other.unmatched)
    shapes = other.shapes.filter { isIncluded($0.key) }
    read = other.read
  }

  /// What has no place in a network, for people: heads, decoders and what lies outside of it.
  ///
  /// - Parameters:
  ///   - network: What it is called in messages.
  ///   - known: The names of its parameters.
  ///   - advice: What to do, where a name of its body has no place.
  /// - Throws: `RunError` where something of its body has no place: it is another network then.
  package func besideBody(of network: String, known: Set<String>, advice: String) throws -> [String] {
    let names =
      unmatched
      + shapes.filter { !known.contains($0.key) }.sorted { $0.key < $1.key }.map {
        UnmatchedName($0.key, inside: $0.key, $0.value, "\(network) has no place for it")
      }
    try requireWhole(network, without: names.filter(\.isOfBody), advice: advice)
    return names.map { "\($0)" }
  }

  /// Throws where weights of a network's body have no place in it.
  func requireWhole(_ network: String, without names: [UnmatchedName], advice: String) throws {
    guard let first = names.first else { return }
    let others = names.count > 1 ? " and \(names.count - 1) more" : ""
    throw RunError(
      "\(path) has weights that \(network) does not, \(first)\(others): it is another network, which would compute "
        + "something else without them; \(advice)")
  }

  /// The values under a name that `shapes` has.
  public func values(of name: String) throws -> [Float] { try read(name) }

  /// The values of a stored tensor. Throws where one is not finite: whatever is computed of it is not either.
  private static func requireFinite(_ name: String, of stored: StoredTensors) throws -> [Float] {
    let values = try stored.read(name)
    guard let place = values.firstIndex(where: { !$0.isFinite }) else { return values }
    throw RunError(
      "\(stored.path): '\(name)' has the value \(values[place]) (element \(place)); these weights are damaged, or of a "
        + "training that diverged")
  }

  /// A checksum over all names and values.
  package func checksum() throws -> UInt64 {
    var hash = XXHash64()
    for name in shapes.keys.sorted() {
      Array(name.utf8).withUnsafeBytes { hash.update($0) }
      try read(name).withUnsafeBytes { hash.update($0) }
    }
    return hash.value
  }

  /// Fills parameters by name; what else the file holds is not needed.
  ///
  /// - Parameters:
  ///   - parameters: What is filled.
  ///   - prefix: What the parameters' names begin with and the file's do not.
  public func fill(_ parameters: [Parameter], without prefix: String = "") throws {
    for parameter in parameters {
      let name = String(parameter.name.dropFirst(parameter.name.hasPrefix(prefix) ? prefix.count : 0))
      guard let shape = shapes[name] else {
        throw RunError("\(path) has no \(name) \(parameter.shape), which the network needs")
      }
      guard shape == parameter.shape else {
        throw RunError("\(name) in \(path) is \(shape); the network needs \(parameter.shape)")
      }
      parameter.value.copyElements(from: try read(name))
    }
  }
}

/// The tensors of a file under the names that they have there.
struct StoredTensors {
  let path: String
  /// Names and shapes, in the order of the file.
  let shapes: [(name: String, shape: [Int])]
  /// The free-form strings in the header of a safetensors file.
  let metadata: [String: String]
  /// The values under a name.
  let read: (String) throws -> [Float]

  /// The same without the tensors of some names, or whose names begin with those and a dot.
  func leavingOut(_ names: Set<String>) -> StoredTensors {
    guard !names.isEmpty else { return self }
    let kept = shapes.filter { tensor in
      !names.contains { tensor.name == $0 || tensor.name.hasPrefix($0 + ".") }
    }
    return StoredTensors(path: path, shapes: kept, metadata: metadata, read: read)
  }

  /// Opens a safetensors file, or a unit of a checkpoint.
  static func open(_ path: String, unit: String = CheckpointUnit.model) throws -> StoredTensors {
    guard try TensorFiles.isHDF5(path) else { return try foreign(path) }
    try FileSeal.verify(path)
    let file = try HDF5File(opening: path)
    guard try file.exists(unit) else {
      throw RunError(
        unit == CheckpointUnit.model
          ? "\(path) holds no weights; give a safetensors file, or a checkpoint of peco"
          : "\(path) holds no \(unit)")
    }
    let shapes = try file.listRecursively(unit).map {
      (name: String($0.dropFirst(unit.count + 1)), shape: try file.shape(of: $0))
    }
    return StoredTensors(path: path, shapes: shapes, metadata: [:]) { try file.read("\(unit)/\($0)") }
  }

  /// Opens a file of others: safetensors, in one file or several, or of `torch.save`.
  static func foreign(_ path: String) throws -> StoredTensors {
    let file = try TensorFiles.open(path)
    let shapes = try file.names.map { (name: $0, shape: try file.shape(of: $0)) }
    return StoredTensors(path: file.path, shapes: shapes, metadata: file.metadata) { try file.readFloats($0) }
  }
}

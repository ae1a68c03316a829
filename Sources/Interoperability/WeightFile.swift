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
  /// Names in the file that found no place, each with its shape and the reason.
  let unmatched: [String]
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
    read = { name in try (mapping.sources[name] ?? []).flatMap { try stored.read($0) } }
  }

  /// Those of another file's weights whose names satisfy a condition.
  init(_ other: WeightFile, where isIncluded: (String) -> Bool) {
    (path, prefix, metadata, unmatched) = (other.path, other.prefix, other.metadata, other.unmatched)
    shapes = other.shapes.filter { isIncluded($0.key) }
    read = other.read
  }

  /// The values under a name that `shapes` has.
  public func values(of name: String) throws -> [Float] { try read(name) }

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

  /// Opens a safetensors file, or a unit of a checkpoint.
  static func open(_ path: String, unit: String = CheckpointUnit.model) throws -> StoredTensors {
    guard !path.hasSuffix(".safetensors") else { return try safetensors(path) }
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

  /// Opens a safetensors file, whatever its name ends in.
  static func safetensors(_ path: String) throws -> StoredTensors {
    let file = try SafetensorsFile(opening: path)
    let shapes = try file.names.map { (name: $0, shape: try file.shape(of: $0)) }
    return StoredTensors(path: path, shapes: shapes, metadata: file.metadata) { try file.readFloats($0) }
  }
}

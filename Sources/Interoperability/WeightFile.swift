import Storage
import Tensors
import Terminal
import Trainer

/// Weights by name, out of a safetensors file or a checkpoint of `peco`.
public struct WeightFile {
  public let path: String
  /// Shapes by name; names begin where the network does.
  public let shapes: [String: [Int]]
  /// What they begin with in the file and do not here.
  package let prefix: String
  private let read: (String) throws -> [Float]

  /// Weights whose values `read` fetches, of what `path` holds.
  init(
    path: String, shapes: [String: [Int]], prefix: String = "", read: @escaping (String) throws -> [Float]
  ) {
    self.path = path
    self.shapes = shapes
    self.prefix = prefix
    self.read = read
  }

  /// Opens a file and finds its network's names.
  ///
  /// Published weights often lie below a prefix (`module.base_encoder.` in MoCo v3); it is left out here.
  ///
  /// - Parameters:
  ///   - unit: Which unit of a checkpoint: the model, or an average of its weights.
  ///   - anchor: A name that the network has, like `patch_embed.proj.weight`.
  public init(opening path: String, unit: String = CheckpointUnit.model, anchor: String) throws {
    self.path = path
    let stored: [(name: String, shape: [Int])]
    let readStored: (String) throws -> [Float]
    if path.hasSuffix(".safetensors") {
      let file = try SafetensorsFile(opening: path)
      stored = try file.names.map { ($0, try file.shape(of: $0)) }
      readStored = { try file.readFloats($0) }
    } else {
      try FileSeal.verify(path)
      let file = try HDF5File(opening: path)
      guard try file.exists(unit) else {
        throw RunError(
          unit == CheckpointUnit.model
            ? "\(path) holds no weights; give a safetensors file, or a checkpoint of peco"
            : "\(path) holds no \(unit)")
      }
      stored = try file.listRecursively(unit).map {
        (String($0.dropFirst(unit.count + 1)), try file.shape(of: $0))
      }
      readStored = { try file.read("\(unit)/\($0)") }
    }
    let prefix = stored.lazy.map(\.name).filter { $0 == anchor || $0.hasSuffix("." + anchor) }
      .min { $0.count < $1.count }.map { $0.dropLast(anchor.count) }
    guard let prefix else {
      throw RunError(
        "\(path) has no '\(anchor)' among its \(stored.count) names (the first: "
          + stored.prefix(3).map { "'\($0.name)'" }.joined(separator: ", ") + "); is it another network's?")
    }
    self.prefix = String(prefix)
    shapes = Dictionary(
      stored.filter { $0.name.hasPrefix(prefix) }.map { (String($0.name.dropFirst(prefix.count)), $0.shape) },
      uniquingKeysWith: { first, _ in first })
    read = { try readStored(prefix + $0) }
  }

  /// The values under a name that `shapes` has.
  public func values(of name: String) throws -> [Float] { try read(name) }

  /// A checksum over all names and values.
  package func checksum() throws -> UInt64 {
    var hash = XXHash64()
    for name in shapes.keys.sorted() where !WeightLayout.isBuffer(name) {
      Array(name.utf8).withUnsafeBytes { hash.update($0) }
      try read(name).withUnsafeBytes { hash.update($0) }
    }
    return hash.value
  }

  /// Fills parameters by name; what else the file holds is not needed.
  ///
  /// - Parameter prefix: What the parameters' names begin with and the file's do not.
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

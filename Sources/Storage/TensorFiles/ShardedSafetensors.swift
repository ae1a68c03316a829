import Foundation

/// Weights in several safetensors files, which an index in JSON holds together: `weight_map` has the file of each tensor.
///
/// Unchecked: all is constant.
public final class ShardedSafetensors: TensorFile, @unchecked Sendable {
  /// What the names of indices end in.
  static let indexSuffix = ".safetensors.index.json"
  /// What it is called most often.
  static let usualIndex = "model" + indexSuffix

  /// Path of the index.
  public let path: String
  public let names: [String]
  /// That of all files, the first one's where they say different things.
  public let metadata: [String: String]
  private let files: [String: SafetensorsFile]

  /// Opens the index and all files that it names.
  public init(index path: String) throws {
    self.path = path
    func invalid(_ problem: String, _ object: String? = nil) -> StorageError {
      StorageError(
        path: path, object: object, problem: problem,
        advice: "give model.safetensors.index.json, or a safetensors file")
    }
    let data = Data(try FileSystem.readSmall(path))
    guard let object = try? JSONSerialization.jsonObject(with: data) as? [String: Any],
      let map = object["weight_map"] as? [String: String], !map.isEmpty
    else {
      throw invalid("is a text in JSON without the weight_map that an index of safetensors files has")
    }
    let folder = FileSystem.folder(of: path)
    var opened: [String: SafetensorsFile] = [:]
    for (tensor, file) in map where opened[file] == nil {
      // An index speaks of its own folder, not of other places of the disk.
      guard !file.isEmpty, !file.contains("/"), file != ".." else {
        throw invalid("lies in '\(file)', which is no name of a file beside the index", tensor)
      }
      guard FileManager.default.fileExists(atPath: "\(folder)/\(file)") else {
        throw StorageError(
          path: path, object: tensor, problem: "lies in \(file), which is not beside the index",
          advice: "fetch all files that the index names: "
            + Set(map.values).sorted().prefix(8).joined(separator: ", "))
      }
      opened[file] = try SafetensorsFile(opening: "\(folder)/\(file)")
    }
    var files: [String: SafetensorsFile] = [:]
    for (tensor, file) in map {
      guard let part = opened[file], part.contains(tensor) else {
        throw invalid("is not in \(file), where the index has it", tensor)
      }
      files[tensor] = part
    }
    // What is in the files counts, whether the index knows it or not: nothing is left out in silence.
    for (file, part) in opened.sorted(by: { $0.key < $1.key }) {
      for tensor in part.names where map[tensor] != file {
        throw invalid(
          map[tensor].map { "lies in \(file) and in \($0)" }
            ?? "lies in \(file), but the index does not name it", tensor)
      }
    }
    self.files = files
    names = files.keys.sorted()
    metadata = opened.sorted { $0.key < $1.key }.reduce(into: [:]) { all, file in
      all.merge(file.value.metadata) { first, _ in first }
    }
  }

  public func shape(of name: String) throws -> [Int] {
    guard let file = files[name] else { throw missing(name) }
    return try file.shape(of: name)
  }

  public func readFloats(_ name: String, into buffer: UnsafeMutableBufferPointer<Float>) throws {
    guard let file = files[name] else { throw missing(name) }
    try file.readFloats(name, into: buffer)
  }
}

import Foundation

/// Named tensors in a file, or in several that belong together.
public protocol TensorFile: Sendable {
  /// What messages call it; what belongs to the tensors lies in the same folder.
  var path: String { get }
  /// The names of the tensors, sorted.
  var names: [String] { get }
  /// Free-form strings that the file says of itself.
  var metadata: [String: String] { get }
  /// The dimensions of a tensor; empty for a scalar.
  func shape(of name: String) throws -> [Int]
  /// Reads a tensor of floating-point numbers as floats, row-major, into memory of the caller's, which must have its size.
  func readFloats(_ name: String, into buffer: UnsafeMutableBufferPointer<Float>) throws
}

extension TensorFile {
  /// Reads a tensor of floating-point numbers as floats, row-major.
  public func readFloats(_ name: String) throws -> [Float] {
    let count = try shape(of: name).reduce(1, *)
    return try [Float](unsafeUninitializedCapacity: count) { buffer, initialized in
      try readFloats(name, into: UnsafeMutableBufferPointer(rebasing: buffer[..<count]))
      initialized = count
    }
  }

  /// What is said of a name that the file does not have.
  func missing(_ name: String) -> StorageError {
    StorageError(
      path: path, object: name, problem: "no such tensor in this file",
      advice: names.isEmpty
        ? "it is empty"
        : "it holds \(names.prefix(8).joined(separator: ", "))"
          + (names.count > 8 ? " and \(names.count - 8) more" : ""))
  }
}

/// Opens files of tensors by what their first bytes say, whatever they are called.
public enum TensorFiles {
  /// Opens a safetensors file, the index of several or the folder with them, or a file of `torch.save`.
  ///
  /// - Throws: `StorageError` for anything else, which says what the file is and what to do.
  public static func open(_ path: String) throws -> any TensorFile {
    var information = stat()
    guard stat(path, &information) == 0 else { throw FileSystem.failure(path, "open") }
    if information.st_mode & S_IFMT == S_IFDIR { return try open(folder: path) }
    let kind = try FileKind(of: path)
    switch kind {
    case .safetensors:
      try requireWhole(path)
      return try SafetensorsFile(opening: path)
    case .json: return try ShardedSafetensors(index: path)
    case .zip, .pickle: return try TorchFile(opening: path)
    default:
      throw StorageError(
        path: path, problem: "is \(kind.words), not a file of tensors", advice: kind.advice)
    }
  }

  /// Whether a file is HDF5, as our checkpoints are.
  package static func isHDF5(_ path: String) throws -> Bool {
    var information = stat()
    guard stat(path, &information) == 0 else { throw FileSystem.failure(path, "open") }
    return try information.st_mode & S_IFMT == S_IFREG && FileKind(of: path) == .hdf5
  }

  /// The names that weights have in the folders of others, the best first.
  private static let usual = ["model.safetensors", ShardedSafetensors.usualIndex]

  private static func open(folder path: String) throws -> any TensorFile {
    let names: [String]
    do {
      names = try FileManager.default.contentsOfDirectory(atPath: path).sorted()
    } catch {
      throw StorageError(path: path, problem: "cannot list the folder: \(error.localizedDescription)")
    }
    if let name = usual.first(where: names.contains) { return try open("\(path)/\(name)") }
    let candidates = [ShardedSafetensors.indexSuffix, ".safetensors", ".bin", ".pth", ".pt"].lazy.map {
      ending in
      names.filter { $0.hasSuffix(ending) }
    }
    guard let found = candidates.first(where: { !$0.isEmpty }) else {
      throw StorageError(
        path: path, problem: "is a folder without weights",
        advice: "give a file, or the folder that has model.safetensors")
    }
    guard found.count == 1 else {
      throw StorageError(
        path: path, problem: "has several files of weights: \(found.prefix(4).joined(separator: ", "))",
        advice: "give one of them")
    }
    return try open("\(path)/\(found[0])")
  }

  /// Throws for a part of weights that lie in several files.
  private static func requireWhole(_ path: String) throws {
    let name = FileSystem.name(of: path)
    guard let match = name.wholeMatch(of: /(.*)-(\d{5})-of-(\d{5})\.safetensors/), match.3 != "00001" else {
      return
    }
    let index = "\(FileSystem.folder(of: path))/\(match.1)\(ShardedSafetensors.indexSuffix)"
    let isThere = FileManager.default.fileExists(atPath: index)
    throw StorageError(
      path: path, problem: "is one of \(Int(match.3) ?? 0) files that belong together",
      advice: isThere
        ? "give \(index)" : "fetch the others and \(FileSystem.name(of: index)), and give this index")
  }
}

import Foundation

/// A file of `torch.save` with a dictionary of tensors, such as a model's `state_dict`, read without executing anything.
///
/// Tensors have the names of the keys on the way to them, with dots between: `model.blocks.0.norm1.weight`. What is not a
/// tensor under a text is left out: an optimizer's state goes by numbers.
///
/// Unchecked: all is constant; `pread` moves no file position.
public final class TorchFile: TensorFile, @unchecked Sendable {
  private struct Entry {
    let shape: [Int]
    let strides: [Int]
    /// The elements of the tensor where they lie one after another, otherwise those of the whole storage.
    let elements: StoredElements
    /// Of the tensor's first element among `elements`.
    let first: Int

    /// Whether elements lie one after another, row-major.
    var isContiguous: Bool {
      // Of no elements the other lengths may be anything, and their product more than there are numbers.
      guard !shape.contains(0) else { return true }
      var expected = 1
      for (length, stride) in zip(shape, strides).reversed() {
        if length != 1, stride != expected { return false }
        expected *= length
      }
      return true
    }
  }

  public let path: String
  public let names: [String]
  public let metadata: [String: String] = [:]
  private let entries: [String: Entry]
  private let descriptor: Int32

  /// Opens a file and reads what tensors it has.
  public init(opening path: String) throws {
    self.path = path
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw FileSystem.failure(path, "open") }
    do {
      let contents = try TorchContents(reading: descriptor, path)
      var entries: [String: Entry] = [:]
      for (name, tensor) in contents.tensors {
        entries[name] = try Self.entry(name, tensor, contents, path)
      }
      self.entries = entries
      names = entries.keys.sorted()
      self.descriptor = descriptor
    } catch let error as PickleError {
      close(descriptor)
      throw StorageError(
        path: path, problem: "cannot be read as a file of torch.save: \(error.problem)",
        advice: Self.conversion)
    } catch {
      close(descriptor)
      throw error
    }
  }

  deinit { close(descriptor) }

  /// What makes a file that can be read of one that cannot.
  static let conversion = """
    if you trust the file, convert it where PyTorch is: python -c "import torch, safetensors.torch as s; \
    s.save_file({k: v.contiguous() for k, v in torch.load('FILE', map_location='cpu').items()}, 'model.safetensors')" \
    (for a whole module, torch.load('FILE', weights_only=False).state_dict().items())
    """

  public func shape(of name: String) throws -> [Int] {
    guard let entry = entries[name] else { throw missing(name) }
    return entry.shape
  }

  public func readFloats(_ name: String, into buffer: UnsafeMutableBufferPointer<Float>) throws {
    guard let entry = entries[name] else { throw missing(name) }
    guard entry.elements.count != buffer.count || entry.first != 0 || !entry.isContiguous else {
      return try entry.elements.readFloats(from: descriptor, path, name, into: buffer)
    }
    var storage = [Float](repeating: 0, count: entry.elements.count)
    try storage.withUnsafeMutableBufferPointer {
      try entry.elements.readFloats(from: descriptor, path, name, into: $0)
    }
    guard buffer.count == entry.shape.reduce(1, *) else {
      throw StorageError(
        path: path, object: name, problem: "has shape \(entry.shape), expected \(buffer.count) values")
    }
    var index = [Int](repeating: 0, count: entry.shape.count)
    var place = entry.first
    for target in buffer.indices {
      buffer[target] = storage[place]
      for axis in index.indices.reversed() {
        index[axis] += 1
        place += entry.strides[axis]
        guard index[axis] == entry.shape[axis] else { break }
        place -= entry.strides[axis] * entry.shape[axis]
        index[axis] = 0
      }
    }
  }

  /// A tensor whose every element lies in its storage.
  private static func entry(
    _ name: String, _ tensor: PickledTensor, _ contents: TorchContents, _ path: String
  ) throws -> Entry {
    func invalid(_ problem: String) -> StorageError {
      StorageError(
        path: path, object: name, problem: problem, advice: "the file is damaged; fetch or copy it anew")
    }
    guard let size = StoredElements.sizes[tensor.type], let bytes = contents.storages[tensor.storage] else {
      throw invalid("has no values in the file")
    }
    guard tensor.storageCount >= 0, tensor.storageCount <= bytes.count / size else {
      throw invalid("its values end before the \(tensor.storageCount) that it should have")
    }
    var (count, last) = (1, tensor.offset)
    for (length, stride) in zip(tensor.shape, tensor.strides) {
      let (product, isTooMuch) = count.multipliedReportingOverflow(by: length)
      let (reach, isTooFar) = max(0, length - 1).multipliedReportingOverflow(by: stride)
      let (end, isBeyond) = last.addingReportingOverflow(reach)
      guard length >= 0, stride >= 0, !isTooMuch, !isTooFar, !isBeyond else {
        throw invalid("has the impossible shape \(tensor.shape)")
      }
      (count, last) = (product, end)
    }
    guard tensor.offset >= 0, tensor.offset <= tensor.storageCount, count == 0 || last < tensor.storageCount
    else {
      throw invalid("its shape \(tensor.shape) reaches beyond its values")
    }
    // Elements that repeat would make a large tensor of a small file.
    guard count <= tensor.storageCount else {
      throw invalid("its elements repeat, in the shape \(tensor.shape)")
    }
    // The stride along a side of one element leads nowhere, and may be any number.
    let strides = zip(tensor.shape, tensor.strides).map { $0 == 1 ? 0 : $1 }
    let entry = Entry(
      shape: tensor.shape, strides: strides,
      elements: StoredElements(type: tensor.type, count: tensor.storageCount, offset: bytes.offset),
      first: tensor.offset)
    guard entry.isContiguous else { return entry }
    let elements = StoredElements(
      type: tensor.type, count: count, offset: bytes.offset + tensor.offset * size)
    return Entry(shape: tensor.shape, strides: strides, elements: elements, first: 0)
  }
}

/// What a file of `torch.save` holds: tensors by name, and where storages lie.
private struct TorchContents {
  private(set) var tensors: [String: PickledTensor] = [:]
  private(set) var storages: [String: ZipDirectory.Member] = [:]
  private var visits = 0
  /// Bytes of the names of all values so far.
  private var nameBytes = 0

  init(reading descriptor: Int32, _ path: String) throws {
    var magic = [UInt8](repeating: 0, count: 2)
    try magic.withUnsafeMutableBytes { try FileSystem.read(descriptor, path, $0, at: 0) }
    if magic == Array("PK".utf8) {
      try read(try ZipDirectory(reading: descriptor, path), path)
    } else {
      try readOldForm(descriptor, path)
    }
  }

  /// Since PyTorch 1.6: a zip archive with a pickle and a member for each storage.
  private mutating func read(_ archive: ZipDirectory, _ path: String) throws {
    let pickles = archive.members.keys.filter { $0 == "data.pkl" || $0.hasSuffix("/data.pkl") }
    guard pickles.count == 1, let pickle = pickles.first, let member = archive.members[pickle] else {
      throw StorageError(
        path: path, problem: "is a zip archive, but none of torch.save: it has no data.pkl",
        advice: "give a safetensors file, its index, or a file of torch.save")
    }
    let folder = pickle.dropLast("data.pkl".count)
    if let order = archive.members["\(folder)byteorder"], try archive.read(order) != Array("little".utf8) {
      throw StorageError(
        path: path, problem: "was written on a big-endian machine",
        advice: "save it again on another, or as safetensors")
    }
    guard member.count <= 1 << 30 else {
      throw PickleError(problem: "its pickle claims to have \(member.count) bytes")
    }
    try archive.read(member).withUnsafeBytes { bytes in
      let reader = Unpickler(bytes)
      try withExtendedLifetime(reader) { try collect(try reader.read(), path) }
    }
    for (name, member) in archive.members where name.hasPrefix("\(folder)data/") {
      storages[String(name.dropFirst(folder.count + 5))] = member
    }
  }

  /// Before PyTorch 1.6: pickles one after another, then each storage with its number of elements before it.
  private mutating func readOldForm(_ descriptor: Int32, _ path: String) throws {
    var information = stat()
    guard fstat(descriptor, &information) == 0 else { throw FileSystem.failure(path, "read the size") }
    let size = Int(information.st_size)
    // The pickles stand at the beginning; storages are not read here.
    var head = [UInt8](repeating: 0, count: min(size, 64 << 20))
    try head.withUnsafeMutableBytes { try FileSystem.read(descriptor, path, $0, at: 0) }
    try head.withUnsafeBytes { bytes in
      let reader = Unpickler(bytes)
      defer { withExtendedLifetime(reader) {} }
      // A magic number, the version, the machine.
      guard case .object("int") = try reader.read(), case .integer(1001) = try reader.read() else {
        throw PickleError(problem: "it is a pickle, but none of torch.save")
      }
      _ = try reader.read()
      try collect(try reader.read(), path)
      guard case .list(let keys) = try reader.read() else {
        throw PickleError(problem: "it has no list of storages")
      }
      var place = reader.position
      for key in keys.values {
        guard case .text(let key) = key, place <= size - 8 else {
          throw PickleError(problem: "it breaks off")
        }
        var number: Int64 = 0
        try withUnsafeMutableBytes(of: &number) { try FileSystem.read(descriptor, path, $0, at: place) }
        let count = Int(Int64(littleEndian: number))
        guard let width = reader.storageTypes[key].flatMap({ StoredElements.sizes[$0] }) else {
          throw PickleError(problem: "it has a storage of an unknown type")
        }
        let (length, overflow) = count.multipliedReportingOverflow(by: width)
        guard count >= 0, !overflow, length <= size - place - 8 else {
          throw PickleError(problem: "it breaks off")
        }
        storages[key] = ZipDirectory.Member(offset: place + 8, count: length)
        place += 8 + length
      }
    }
  }

  /// Takes up the tensors below a value.
  private mutating func collect(_ root: PickleValue, _ path: String) throws {
    try collect(root, under: "", depth: 0)
    guard tensors.isEmpty else { return }
    guard case .object(let name) = root else { throw PickleError(problem: "it has no tensors under names") }
    throw PickleError(problem: "it is a whole object of \(name), not a dictionary of tensors")
  }

  private mutating func collect(_ value: PickleValue, under name: String, depth: Int) throws {
    // One dictionary may stand in many places, and they in many: a short file could have names without end.
    visits += 1
    guard visits < 1_000_000 else { throw PickleError(problem: "it has more than a million values") }
    nameBytes += name.utf8.count
    guard nameBytes < 1 << 28 else { throw PickleError(problem: "its names have more than 256 MiB") }
    switch value {
    case .tensor(let tensor):
      guard tensors.updateValue(tensor, forKey: name) == nil else {
        throw PickleError(problem: "it has two tensors called \(name)")
      }
    case .dictionary(let dictionary):
      // One that holds itself has no end.
      guard depth < 32 else { throw PickleError(problem: "it has dictionaries too deep in one another") }
      for case (.text(let key), let value) in dictionary.entries {
        try collect(value, under: name.isEmpty ? key : "\(name).\(key)", depth: depth + 1)
      }
    default: break
    }
  }
}

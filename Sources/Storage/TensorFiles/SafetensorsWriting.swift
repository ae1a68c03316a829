import Foundation

extension SafetensorsFile {
  /// Writes tensors of `F32`, in the order given, so that `path` holds the old file or the whole new one.
  public static func write(
    tensors: [(name: String, shape: [Int], values: [Float])], metadata: [String: String] = [:],
    to path: String
  ) throws {
    var header: [String: Any] = [:]
    if !metadata.isEmpty { header["__metadata__"] = metadata }
    var end = 0
    for tensor in tensors {
      guard tensor.shape.reduce(1, *) == tensor.values.count else {
        throw StorageError(
          path: path, object: tensor.name,
          problem: "\(tensor.values.count) values do not fill the shape \(tensor.shape)")
      }
      guard header[tensor.name] == nil, tensor.name != "__metadata__" else {
        throw StorageError(path: path, object: tensor.name, problem: "two tensors would have this name")
      }
      let start = end
      end += tensor.values.count * MemoryLayout<Float>.size
      header[tensor.name] = ["dtype": "F32", "shape": tensor.shape, "data_offsets": [start, end]]
    }
    var text: Data
    do {
      text = try JSONSerialization.data(
        withJSONObject: header, options: [.sortedKeys, .withoutEscapingSlashes])
    } catch {
      throw StorageError(path: path, problem: "cannot write the header: \(error.localizedDescription)")
    }
    // The values start at a multiple of 8, so that readers may map them.
    text.append(contentsOf: [UInt8](repeating: UInt8(ascii: " "), count: (8 - text.count % 8) % 8))

    try FileSystem.atomicallyReplace(path) { partial in
      let descriptor = open(partial, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o666)
      guard descriptor >= 0 else { throw FileSystem.failure(partial, "create the file") }
      defer { close(descriptor) }
      try withUnsafeBytes(of: UInt64(text.count).littleEndian) {
        try FileSystem.write(descriptor, partial, $0)
      }
      try text.withUnsafeBytes { try FileSystem.write(descriptor, partial, $0) }
      for tensor in tensors {
        #if _endian(big)
          let values = tensor.values.map(\.bitPattern.littleEndian)
        #else
          let values = tensor.values
        #endif
        try values.withUnsafeBytes { try FileSystem.write(descriptor, partial, $0) }
      }
    }
  }
}

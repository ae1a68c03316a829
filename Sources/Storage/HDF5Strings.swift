import CHDF5
import Foundation

extension HDF5File {
  /// Writes a one-dimensional dataset of UTF-8 strings of variable length, which h5py reads as `str`.
  public func write(strings: [String], to name: String) throws {
    try withFile { _ in
      if try exists(name) {
        throw StorageError(path: path, object: name, problem: "the file already holds an object of this name")
      }
      try requireNoZeros(in: strings, name)
      let type = try check(peco_h5_string_type(), name, "make the string type")
      defer { H5Tclose(type) }
      let space = try check(HDF5File.makeSpace([strings.count]), name, "describe the shape")
      defer { H5Sclose(space) }
      let creation = try check(peco_h5_string_creation(), name, "describe the layout")
      defer { H5Pclose(creation) }
      let dataset = try makeDataset(name, type, space, creation)
      defer { H5Dclose(dataset) }
      guard !strings.isEmpty else { return }
      try HDF5File.withCStrings(strings) { pointers in
        _ = try check(peco_h5_write(dataset, type, 0, 0, pointers), name, "write the strings")
      }
    }
  }

  /// Reads a dataset of strings, of variable or of fixed length.
  public func readStrings(_ name: String) throws -> [String] {
    try withDataset(name) { dataset in
      let type = try check(H5Dget_type(dataset), name, "read the type")
      defer { H5Tclose(type) }
      try requireStrings(type, name)
      let space = try check(H5Dget_space(dataset), name, "read the shape")
      defer { H5Sclose(space) }
      let count = try elementCount(shape(of: dataset, name), name)
      try requireMemory(count, H5Tget_size(type), name)
      try requireStored(count, H5Tget_size(type), dataset, name)
      return try readStrings(count: count, type: type, space: space, name) { memoryType, memory in
        peco_h5_read(dataset, memoryType, 0, 0, memory)
      }
    }
  }

  func requireStrings(_ type: hid_t, _ name: String) throws {
    guard H5Tget_class(type) == H5T_STRING else {
      let found = HDF5ElementType.describe(fileType: type)
      throw StorageError(path: path, object: name, problem: "holds \(found), expected strings")
    }
  }

  func requireNoZeros(in strings: [String], _ name: String) throws {
    if let index = strings.firstIndex(where: { $0.utf8.contains(0) }) {
      throw StorageError(
        path: path, object: name, problem: "string \(index) contains a zero byte, which HDF5 cannot store")
    }
  }

  /// Reads `count` strings of the file's own `type` through `transfer`, which fills the memory it is given.
  func readStrings(
    count: Int, type: hid_t, space: hid_t, _ name: String,
    transfer: (hid_t, UnsafeMutableRawPointer) -> herr_t
  ) throws -> [String] {
    guard count > 0 else { return [] }
    if H5Tis_variable_str(type) > 0 {
      try requireMemory(count, MemoryLayout<UnsafeMutablePointer<CChar>?>.stride, name)
      var pointers = [UnsafeMutablePointer<CChar>?](repeating: nil, count: count)
      return try pointers.withUnsafeMutableBytes { memory in
        guard let base = memory.baseAddress else { return [] }
        try check(transfer(type, base), name, "read the strings")
        defer { peco_h5_reclaim(type, space, base) }
        return memory.assumingMemoryBound(to: UnsafeMutablePointer<CChar>?.self).map {
          $0.map { String(cString: $0) } ?? ""
        }
      }
    }
    let length = H5Tget_size(type)
    let (size, overflow) = count.multipliedReportingOverflow(by: length)
    guard length > 0, !overflow else {
      throw StorageError(path: path, object: name, problem: "impossible string length \(length)")
    }
    try requireMemory(size, 1, name)
    let padded = H5Tget_strpad(type) == H5T_STR_SPACEPAD
    var bytes = [UInt8](repeating: 0, count: size)
    return try bytes.withUnsafeMutableBytes { memory in
      guard let base = memory.baseAddress else { return [] }
      try check(transfer(type, base), name, "read the strings")
      return (0..<count).map { index in
        var text = memory[(index * length)..<((index + 1) * length)].prefix { $0 != 0 }
        if padded { while text.last == UInt8(ascii: " ") { text = text.dropLast() } }
        return String(decoding: text, as: UTF8.self)
      }
    }
  }

  /// Lends the strings as an array of C strings, which is what HDF5 takes for strings of variable length.
  static func withCStrings<Result>(
    _ strings: [String], _ body: (UnsafeRawPointer?) throws -> Result
  ) rethrows -> Result {
    var bytes: [CChar] = []
    var offsets: [Int] = []
    for string in strings {
      offsets.append(bytes.count)
      bytes.append(contentsOf: string.utf8.lazy.map { CChar(bitPattern: $0) })
      bytes.append(0)
    }
    return try bytes.withUnsafeBufferPointer { buffer in
      let pointers = offsets.map { offset in buffer.baseAddress.map { $0 + offset } }
      return try pointers.withUnsafeBufferPointer { try body($0.baseAddress) }
    }
  }
}

import Foundation

/// The elements of a tensor as they lie in a file: little-endian, one after another.
struct StoredElements: Sendable {
  /// Their type, as safetensors spells it: `F32`, `BF16`, `I64`, ...
  let type: String
  let count: Int
  /// Of the first, in bytes from the start of the file.
  let offset: Int

  /// Bytes of an element of each type there is.
  static let sizes = [
    "BOOL": 1, "U8": 1, "I8": 1, "F8_E4M3": 1, "F8_E5M2": 1, "U16": 2, "I16": 2, "F16": 2, "BF16": 2,
    "U32": 4, "I32": 4, "F32": 4, "U64": 8, "I64": 8, "F64": 8,
  ]

  /// Reads all of them as floats, into memory of their size.
  ///
  /// - Parameters:
  ///   - descriptor: The open file.
  ///   - path: The file, for messages.
  ///   - name: The tensor, for messages.
  ///   - buffer: What is filled.
  func readFloats(
    from descriptor: Int32, _ path: String, _ name: String, into buffer: UnsafeMutableBufferPointer<Float>
  ) throws {
    guard buffer.count == count else {
      throw StorageError(path: path, object: name, problem: "has \(count) values, expected \(buffer.count)")
    }
    switch type {
    case "F32":
      try read(from: descriptor, path, name, UnsafeMutableRawBufferPointer(buffer), at: 0)
      #if _endian(big)
        for index in buffer.indices {
          buffer[index] = Float(bitPattern: UInt32(littleEndian: buffer[index].bitPattern))
        }
      #endif
    case "F16":
      try convert(from: descriptor, path, name, buffer) { (bits: UInt16) in Self.float(half: bits) }
    case "BF16":
      try convert(from: descriptor, path, name, buffer) { (bits: UInt16) in
        Float(bitPattern: UInt32(bits) << 16)
      }
    case "F64":
      try convert(from: descriptor, path, name, buffer) { (bits: UInt64) in Float(Double(bitPattern: bits)) }
    default:
      throw StorageError(
        path: path, object: name, problem: "holds \(type), expected F32, F16, BF16 or F64")
    }
  }

  /// Reads and converts a piece at a time, so that no second copy of a large tensor is held.
  private func convert<Bits: FixedWidthInteger>(
    from descriptor: Int32, _ path: String, _ name: String, _ buffer: UnsafeMutableBufferPointer<Float>,
    _ value: (Bits) -> Float
  ) throws {
    let size = MemoryLayout<Bits>.size
    var piece = [Bits](repeating: 0, count: min(buffer.count, 1 << 17))
    for start in stride(from: 0, to: buffer.count, by: 1 << 17) {
      let count = min(buffer.count - start, piece.count)
      try piece.withUnsafeMutableBytes { memory in
        try read(
          from: descriptor, path, name, UnsafeMutableRawBufferPointer(rebasing: memory[..<(count * size)]),
          at: start * size)
      }
      for index in 0..<count { buffer[start + index] = value(Bits(littleEndian: piece[index])) }
    }
  }

  /// Reads bytes from a place among the elements.
  func read(
    from descriptor: Int32, _ path: String, _ name: String, _ memory: UnsafeMutableRawBufferPointer,
    at place: Int
  ) throws {
    do {
      try FileSystem.read(descriptor, path, memory, at: offset + place)
    } catch let error as StorageError {
      throw StorageError(path: path, object: name, problem: error.problem, advice: error.advice)
    }
  }

  static func float(half bits: UInt16) -> Float {
    let sign = UInt32(bits & 0x8000) << 16
    let exponent = UInt32(bits >> 10) & 0x1F
    let fraction = UInt32(bits & 0x3FF)
    switch exponent {
    case 0:
      let magnitude = Float(fraction) * 0x1p-24
      return sign == 0 ? magnitude : -magnitude
    case 0x1F: return Float(bitPattern: sign | 0x7F80_0000 | fraction << 13)
    default: return Float(bitPattern: sign | (exponent + 112) << 23 | fraction << 13)
    }
  }
}

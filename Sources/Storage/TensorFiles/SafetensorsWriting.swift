import Foundation

extension SafetensorsFile {
  /// The number format that values are written in, under the names of PyTorch's `dtype`.
  public enum ElementType: String, Sendable, CaseIterable {
    case float32, bfloat16, float16

    /// As safetensors spells it.
    fileprivate var spelling: String {
      switch self {
      case .float32: "F32"
      case .bfloat16: "BF16"
      case .float16: "F16"
      }
    }

    fileprivate var size: Int { self == .float32 ? 4 : 2 }
  }

  /// Writes tensors in the order given, so that `path` holds the old file or the whole new one.
  ///
  /// - Parameters:
  ///   - tensors: Their names, shapes and values.
  ///   - metadata: Free-form strings of the header.
  ///   - type: The number format; values are rounded to nearest, ties to even.
  ///   - path: The file.
  /// - Throws: `StorageError`, also where a finite value has no place in the number format.
  public static func write(
    tensors: [(name: String, shape: [Int], values: [Float])], metadata: [String: String] = [:],
    as type: ElementType = .float32, to path: String
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
      end += tensor.values.count * type.size
      header[tensor.name] = ["dtype": type.spelling, "shape": tensor.shape, "data_offsets": [start, end]]
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
        switch type {
        case .float32:
          let bits = tensor.values.map(\.bitPattern.littleEndian)
          try bits.withUnsafeBytes { try FileSystem.write(descriptor, partial, $0) }
        case .bfloat16, .float16:
          let bits = tensor.values.map { (type == .bfloat16 ? rounded($0) : halfPrecision($0)).littleEndian }
          let infinity: UInt16 = type == .bfloat16 ? 0x7F80 : 0x7C00
          if let place = bits.indices.first(where: {
            UInt16(littleEndian: bits[$0]) & 0x7FFF == infinity && tensor.values[$0].isFinite
          }) {
            throw StorageError(
              path: path, object: tensor.name,
              problem: "holds \(tensor.values[place]), which is beyond the range of \(type.rawValue)")
          }
          try bits.withUnsafeBytes { try FileSystem.write(descriptor, partial, $0) }
        }
      }
    }
  }
}

/// The bits of a number as bfloat16.
private func rounded(_ value: Float) -> UInt16 {
  let bits = value.bitPattern
  if value.isNaN { return UInt16(bits >> 16) | 0x40 }
  return UInt16(truncatingIfNeeded: (bits &+ 0x7FFF &+ (bits >> 16 & 1)) >> 16)
}

/// The bits of a number as float16, which Swift's own type has not on every system.
private func halfPrecision(_ value: Float) -> UInt16 {
  let magnitude = value.magnitude
  let sign: UInt16 = value.sign == .minus ? 0x8000 : 0
  if value.isNaN { return sign | 0x7E00 }
  // From here on the next number is infinity.
  if magnitude >= 65520 { return sign | 0x7C00 }
  // Numbers below 2⁻¹⁴ have its exponent and fewer digits; rounding up carries into the exponent by itself.
  let exponent = max(magnitude.isZero ? -14 : Int(magnitude.exponent), -14)
  let unit = Float(sign: .plus, exponent: exponent - 10, significand: 1)
  return sign | UInt16(exponent + 14) << 10 + UInt16((magnitude / unit).rounded(.toNearestOrEven))
}

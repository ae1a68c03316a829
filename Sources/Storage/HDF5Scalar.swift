import CHDF5

/// A number that HDF5 stores as it lies in memory.
public protocol HDF5Scalar: BitwiseCopyable, Sendable {
  /// The kind of number, as messages and `HDF5File.elementType(of:)` name it.
  static var elementType: HDF5ElementType { get }
}

/// The kinds of number a dataset may hold, named as NumPy names them.
public enum HDF5ElementType: String, Sendable, Equatable {
  case float32, float64, int32, int64, uint8, uint16, uint32, uint64

  var nativeType: hid_t {
    switch self {
    case .float32: peco_h5_native_float()
    case .float64: peco_h5_native_double()
    case .int32: peco_h5_native_int32()
    case .int64: peco_h5_native_int64()
    case .uint8: peco_h5_native_uint8()
    case .uint16: peco_h5_native_uint16()
    case .uint32: peco_h5_native_uint32()
    case .uint64: peco_h5_native_uint64()
    }
  }

  /// Recognizes a type read from a file; byte order does not matter, HDF5 swaps as it reads.
  init?(fileType: hid_t) {
    let size = H5Tget_size(fileType)
    switch H5Tget_class(fileType) {
    case H5T_FLOAT where size == 4: self = .float32
    case H5T_FLOAT where size == 8: self = .float64
    case H5T_INTEGER:
      let signed = H5Tget_sign(fileType) == H5T_SGN_2
      switch (size, signed) {
      case (4, true): self = .int32
      case (8, true): self = .int64
      case (1, false): self = .uint8
      case (2, false): self = .uint16
      case (4, false): self = .uint32
      case (8, false): self = .uint64
      default: return nil
      }
    default: return nil
    }
  }

  /// A name for any type of a file, also for those that no `HDF5Scalar` stands for.
  static func describe(fileType: hid_t) -> String {
    if let known = HDF5ElementType(fileType: fileType) { return known.rawValue }
    let bits = H5Tget_size(fileType) * 8
    switch H5Tget_class(fileType) {
    case H5T_FLOAT: return "float\(bits)"
    case H5T_INTEGER: return (H5Tget_sign(fileType) == H5T_SGN_2 ? "int" : "uint") + "\(bits)"
    case H5T_STRING: return "strings"
    default: return "neither numbers nor strings"
    }
  }
}

extension Float: HDF5Scalar { public static var elementType: HDF5ElementType { .float32 } }
extension Double: HDF5Scalar { public static var elementType: HDF5ElementType { .float64 } }
extension Int32: HDF5Scalar { public static var elementType: HDF5ElementType { .int32 } }
extension Int64: HDF5Scalar { public static var elementType: HDF5ElementType { .int64 } }
extension UInt8: HDF5Scalar { public static var elementType: HDF5ElementType { .uint8 } }
extension UInt16: HDF5Scalar { public static var elementType: HDF5ElementType { .uint16 } }
extension UInt32: HDF5Scalar { public static var elementType: HDF5ElementType { .uint32 } }
extension UInt64: HDF5Scalar { public static var elementType: HDF5ElementType { .uint64 } }

import CHDF5
import Foundation

/// What an attribute can hold: a `String`, an `Int` (or `Int64`), a `UInt64` or a `Double`.
public protocol HDF5AttributeValue: Sendable {
  /// Writes or reads one value; for the library's own use.
  static func storeAttribute(_ value: Self, _ attribute: HDF5AttributeAccess) throws
  /// Reads one value; for the library's own use.
  static func loadAttribute(_ attribute: HDF5AttributeAccess) throws -> Self
}

/// An attribute while it is being written or read; only `HDF5AttributeValue` types deal with it.
public struct HDF5AttributeAccess {
  let file: HDF5File
  let object: hid_t
  let name: String
  /// How messages call the attribute.
  let label: String

  fileprivate func store(type: hid_t, _ value: UnsafeRawPointer?) throws {
    let space = try file.check(HDF5File.makeSpace([]), label, "create the attribute")
    defer { H5Sclose(space) }
    let attribute = try file.check(
      H5Acreate2(object, name, type, space, 0, 0), label, "create the attribute")
    defer { H5Aclose(attribute) }
    try file.check(H5Awrite(attribute, type, value), label, "write the attribute")
  }

  fileprivate func withOpen<Result>(
    _ expected: String, of classes: [H5T_class_t],
    _ body: (_ attribute: hid_t, _ type: hid_t) throws -> Result
  ) throws -> Result {
    let attribute = try file.check(H5Aopen(object, name, 0), label, "open the attribute")
    defer { H5Aclose(attribute) }
    let type = try file.check(H5Aget_type(attribute), label, "read the attribute's type")
    defer { H5Tclose(type) }
    let space = try file.check(H5Aget_space(attribute), label, "read the attribute's shape")
    defer { H5Sclose(space) }
    guard classes.contains(H5Tget_class(type)) else {
      let found = HDF5ElementType.describe(fileType: type)
      throw StorageError(path: file.path, object: label, problem: "holds \(found), expected \(expected)")
    }
    guard H5Sget_simple_extent_npoints(space) == 1 else {
      throw StorageError(path: file.path, object: label, problem: "holds several values, expected one")
    }
    return try body(attribute, type)
  }

  fileprivate func loadNumber<T: HDF5Scalar>(_ zero: T, _ classes: [H5T_class_t]) throws -> T {
    try withOpen("a number (\(T.elementType.rawValue))", of: classes) { attribute, _ in
      var value = zero
      try file.check(
        H5Aread(attribute, T.elementType.nativeType, &value), label, "read the attribute")
      return value
    }
  }
}

extension Int64: HDF5AttributeValue {
  public static func storeAttribute(_ value: Int64, _ attribute: HDF5AttributeAccess) throws {
    try withUnsafePointer(to: value) { try attribute.store(type: peco_h5_native_int64(), $0) }
  }
  public static func loadAttribute(_ attribute: HDF5AttributeAccess) throws -> Int64 {
    try attribute.loadNumber(0, [H5T_INTEGER])
  }
}

extension Int: HDF5AttributeValue {
  public static func storeAttribute(_ value: Int, _ attribute: HDF5AttributeAccess) throws {
    try Int64.storeAttribute(Int64(value), attribute)
  }
  public static func loadAttribute(_ attribute: HDF5AttributeAccess) throws -> Int {
    Int(try Int64.loadAttribute(attribute))
  }
}

extension UInt64: HDF5AttributeValue {
  public static func storeAttribute(_ value: UInt64, _ attribute: HDF5AttributeAccess) throws {
    try withUnsafePointer(to: value) { try attribute.store(type: peco_h5_native_uint64(), $0) }
  }
  public static func loadAttribute(_ attribute: HDF5AttributeAccess) throws -> UInt64 {
    try attribute.loadNumber(0, [H5T_INTEGER])
  }
}

extension Double: HDF5AttributeValue {
  public static func storeAttribute(_ value: Double, _ attribute: HDF5AttributeAccess) throws {
    try withUnsafePointer(to: value) { try attribute.store(type: peco_h5_native_double(), $0) }
  }
  public static func loadAttribute(_ attribute: HDF5AttributeAccess) throws -> Double {
    try attribute.loadNumber(0, [H5T_FLOAT, H5T_INTEGER])
  }
}

extension String: HDF5AttributeValue {
  public static func storeAttribute(_ value: String, _ attribute: HDF5AttributeAccess) throws {
    try attribute.file.requireNoZeros(in: [value], attribute.label)
    let type = try attribute.file.check(
      peco_h5_string_type(), attribute.label, "make the string type")
    defer { H5Tclose(type) }
    try HDF5File.withCStrings([value]) { try attribute.store(type: type, $0) }
  }
  public static func loadAttribute(_ attribute: HDF5AttributeAccess) throws -> String {
    try attribute.withOpen("a string", of: [H5T_STRING]) { identifier, type in
      let space = try attribute.file.check(
        H5Aget_space(identifier), attribute.label, "read the attribute")
      defer { H5Sclose(space) }
      let strings = try attribute.file.readStrings(
        count: 1, type: type, space: space, attribute.label
      ) { memoryType, memory in H5Aread(identifier, memoryType, memory) }
      return strings.first ?? ""
    }
  }
}

extension HDF5File {
  /// Sets an attribute of the file (`/`), a group or a dataset, replacing one of the same name.
  public func setAttribute<Value: HDF5AttributeValue>(
    _ name: String, _ value: Value, on object: String = "/"
  ) throws {
    try withAttributeOwner(name, object) { access in
      if H5Aexists(access.object, name) > 0 {
        try check(H5Adelete(access.object, name), access.label, "replace the attribute")
      }
      try Value.storeAttribute(value, access)
    }
  }

  /// An attribute of the file (`/`), a group or a dataset; nil when there is none of this name.
  ///
  /// Throws when it holds another kind of value than the one asked for.
  public func attribute<Value: HDF5AttributeValue>(
    _ name: String, on object: String = "/", as type: Value.Type = Value.self
  ) throws -> Value? {
    try withAttributeOwner(name, object) { access in
      let present = try check(H5Aexists(access.object, name), access.label, "look for the attribute")
      return present > 0 ? try Value.loadAttribute(access) : nil
    }
  }

  /// The names of the file's attributes, sorted.
  public func attributes() throws -> [String] {
    try withFile { file in
      let names = NameCollector()
      let status = H5Aiterate2(
        file, H5_INDEX_NAME, H5_ITER_INC, nil,
        { _, name, _, context in
          guard let name, let context else { return 0 }
          Unmanaged<NameCollector>.fromOpaque(context).takeUnretainedValue().names.append(
            String(cString: name))
          return 0
        }, Unmanaged.passUnretained(names).toOpaque())
      try check(status, nil, "list the attributes")
      return withExtendedLifetime(names) { names.names.sorted() }
    }
  }

  private func withAttributeOwner<Result>(
    _ name: String, _ object: String, _ body: (HDF5AttributeAccess) throws -> Result
  ) throws -> Result {
    try withFile { file in
      try requirePresence(of: object)
      let owner = try check(H5Oopen(file, object, 0), object, "open the object")
      defer { H5Oclose(owner) }
      let label = object == "/" ? "attribute '\(name)'" : "attribute '\(name)' of '\(object)'"
      return try body(HDF5AttributeAccess(file: self, object: owner, name: name, label: label))
    }
  }
}

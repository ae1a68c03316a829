import CHDF5
import Foundation

extension HDF5File {
  // MARK: Writing

  /// Writes a dataset of numbers, making the groups on the way.
  ///
  /// - Parameters:
  ///   - values: row-major; as many as `shape` says.
  ///   - shape: the lengths of the dimensions.
  ///   - name: slash-separated; must be new to the file.
  ///   - checksum: stores Fletcher-32 checksums, so that reading damaged data throws. The dataset is then cut into
  ///     chunks of about 1 MiB; otherwise it lies in one piece (see `contiguousOffset(of:)`).
  public func write<T: HDF5Scalar>(
    _ values: UnsafeBufferPointer<T>, shape: [Int], to name: String, checksum: Bool = false
  ) throws {
    try withNewDataset(name, shape: shape, type: T.elementType, checksum: checksum) { dataset, count in
      guard count == values.count else {
        throw StorageError(
          path: path, object: name, problem: "\(values.count) values do not fill the shape \(shape)")
      }
      guard count > 0 else { return }
      if checksum, !shape.isEmpty {
        return try writeChunks(UnsafeRawBufferPointer(values), T.elementType, shape, dataset, name)
      }
      let status = peco_h5_write(dataset, T.elementType.nativeType, 0, 0, values.baseAddress)
      try check(status, name, "write the dataset")
    }
  }

  /// Writes a dataset of numbers; see `write(_:shape:to:checksum:)` over a buffer.
  public func write<T: HDF5Scalar>(
    _ values: [T], shape: [Int], to name: String, checksum: Bool = false
  ) throws {
    try values.withUnsafeBufferPointer { try write($0, shape: shape, to: name, checksum: checksum) }
  }

  /// Creates a dataset in one piece, to be filled by `writeSlab`.
  ///
  /// Space is taken at once; what is never written is undefined.
  public func createDataset<T: HDF5Scalar>(_ name: String, shape: [Int], of type: T.Type) throws {
    try withNewDataset(name, shape: shape, type: T.elementType, checksum: false) { _, _ in }
  }

  /// Writes whole rows (the first dimension) of an existing dataset, starting at `row`.
  public func writeSlab<T: HDF5Scalar>(
    _ values: UnsafeBufferPointer<T>, to name: String, row: Int
  ) throws {
    try withDataset(name) { dataset in
      try requireType(T.elementType, of: dataset, name)
      let shape = try self.shape(of: dataset, name)
      let rowSize = try elementCount(Array(shape.dropFirst()), name)
      guard rowSize > 0, values.count % rowSize == 0 else {
        throw StorageError(
          path: path, object: name, problem: "\(values.count) values are no whole rows of \(rowSize)")
      }
      guard !values.isEmpty else { return }
      try withSlab(of: dataset, name, shape, row..<(row + values.count / rowSize)) { memory, file in
        let status = peco_h5_write(
          dataset, T.elementType.nativeType, memory, file, values.baseAddress)
        try check(status, name, "write the dataset")
      }
    }
  }

  /// Writes whole rows of an existing dataset; see `writeSlab(_:to:row:)` over a buffer.
  public func writeSlab<T: HDF5Scalar>(_ values: [T], to name: String, row: Int) throws {
    try values.withUnsafeBufferPointer { try writeSlab($0, to: name, row: row) }
  }

  // MARK: Reading

  /// Reads a whole dataset, row-major. Its element type must be `T`.
  public func read<T: HDF5Scalar>(_ name: String, as type: T.Type = T.self) throws -> [T] {
    try withDataset(name) { dataset in
      try requireType(T.elementType, of: dataset, name)
      let count = try elementCount(shape(of: dataset, name), name)
      try requireMemory(count, MemoryLayout<T>.stride, name)
      try requireStored(count, MemoryLayout<T>.stride, dataset, name)
      return try [T](unsafeUninitializedCapacity: count) { buffer, initialized in
        if count > 0 {
          let status = peco_h5_read(dataset, T.elementType.nativeType, 0, 0, buffer.baseAddress)
          try check(status, name, "read the dataset")
        }
        initialized = count
      }
    }
  }

  /// Reads a whole dataset into memory of the caller's, which must have its size (and `shape`, if given).
  public func read<T: HDF5Scalar>(
    _ name: String, into buffer: UnsafeMutableBufferPointer<T>, shape expected: [Int]? = nil
  ) throws {
    try withDataset(name) { dataset in
      try requireType(T.elementType, of: dataset, name)
      let shape = try self.shape(of: dataset, name)
      if let expected, expected != shape {
        throw StorageError(path: path, object: name, problem: "has shape \(shape), expected \(expected)")
      }
      guard try elementCount(shape, name) == buffer.count else {
        throw StorageError(
          path: path, object: name, problem: "has shape \(shape), expected \(buffer.count) values")
      }
      guard !buffer.isEmpty else { return }
      let status = peco_h5_read(dataset, T.elementType.nativeType, 0, 0, buffer.baseAddress)
      try check(status, name, "read the dataset")
    }
  }

  /// Reads some rows (the first dimension) of a dataset.
  public func readSlab<T: HDF5Scalar>(
    _ name: String, rows: Range<Int>, as type: T.Type = T.self
  ) throws -> [T] {
    let shape = try self.shape(of: name)
    let rowSize = try elementCount(Array(shape.dropFirst()), name)
    let (count, overflow) = rowSize.multipliedReportingOverflow(by: rows.count)
    guard !overflow else {
      throw StorageError(path: path, object: name, problem: "impossible shape \(shape)")
    }
    try requireMemory(count, MemoryLayout<T>.stride, name)
    return try [T](unsafeUninitializedCapacity: count) { buffer, initialized in
      try readSlab(name, rows: rows, into: UnsafeMutableBufferPointer(rebasing: buffer[..<count]))
      initialized = count
    }
  }

  /// Reads some rows of a dataset into memory of the caller's, which must have their size.
  public func readSlab<T: HDF5Scalar>(
    _ name: String, rows: Range<Int>, into buffer: UnsafeMutableBufferPointer<T>
  ) throws {
    try withDataset(name) { dataset in
      try requireType(T.elementType, of: dataset, name)
      let shape = try self.shape(of: dataset, name)
      let rowSize = try elementCount(Array(shape.dropFirst()), name)
      guard rowSize.multipliedFullWidth(by: rows.count) == (0, UInt(buffer.count)) else {
        throw StorageError(
          path: path, object: name,
          problem: "\(rows.count) rows of shape \(shape) do not make \(buffer.count) values")
      }
      guard !buffer.isEmpty else { return }
      try withSlab(of: dataset, name, shape, rows) { memory, file in
        let status = peco_h5_read(
          dataset, T.elementType.nativeType, memory, file, buffer.baseAddress)
        try check(status, name, "read the dataset")
      }
    }
  }

  // MARK: Asking

  /// The dimensions of a dataset; empty for a scalar.
  public func shape(of name: String) throws -> [Int] {
    try withDataset(name) { try shape(of: $0, name) }
  }

  /// The kind of number a dataset holds, or nil when it holds something else.
  public func elementType(of name: String) throws -> HDF5ElementType? {
    try withDataset(name) { dataset in
      let type = try check(H5Dget_type(dataset), name, "read the type")
      defer { H5Tclose(type) }
      return HDF5ElementType(fileType: type)
    }
  }

  /// Where in the file a dataset's values start, if they lie there in one piece, so that others can `pread` them.
  ///
  /// Nil for chunked datasets and for those without elements.
  public func contiguousOffset(of name: String) throws -> UInt64? {
    try withDataset(name) { dataset in
      let offset = peco_h5_offset(dataset)
      return offset == .max ? nil : offset
    }
  }

  // MARK: Inside

  func withDataset<Result>(_ name: String, _ body: (hid_t) throws -> Result) throws -> Result {
    try withFile { file in
      let dataset = H5Dopen2(file, name, 0)
      if dataset < 0 {
        let reason = HDF5Library.lastFailure()
        try requirePresence(of: name)
        throw StorageError(path: path, object: name, problem: "cannot open the dataset: \(reason)")
      }
      defer { H5Dclose(dataset) }
      return try body(dataset)
    }
  }

  private func withNewDataset(
    _ name: String, shape: [Int], type: HDF5ElementType, checksum: Bool,
    _ body: (_ dataset: hid_t, _ count: Int) throws -> Void
  ) throws {
    try withFile { _ in
      let count = try elementCount(shape, name)
      if try exists(name) {
        throw StorageError(path: path, object: name, problem: "the file already holds an object of this name")
      }
      let space = try check(HDF5File.makeSpace(shape), name, "describe the shape")
      defer { H5Sclose(space) }
      let chunk = HDF5File.chunk(for: shape, elementSize: H5Tget_size(type.nativeType)).map(hsize_t.init)
      let creation = try check(
        peco_h5_dataset_creation(Int32(shape.count), checksum && count > 0 ? chunk : nil), name,
        "describe the layout")
      defer { H5Pclose(creation) }
      let dataset = try makeDataset(name, type.nativeType, space, creation)
      do {
        try body(dataset, count)
      } catch {
        H5Dclose(dataset)
        throw error
      }
      // Chunks still in memory are written here.
      try check(H5Dclose(dataset), name, "write the dataset")
    }
  }

  /// Creates a dataset, and the groups on the way to it. HDF5 would make these too, but with times.
  func makeDataset(_ name: String, _ type: hid_t, _ space: hid_t, _ creation: hid_t) throws -> hid_t {
    try withFile { file in
      let links = try check(peco_h5_link_creation(), name, "create the dataset")
      defer { H5Pclose(links) }
      let groupCreation = try check(peco_h5_group_creation(), name, "create the dataset")
      defer { H5Pclose(groupCreation) }
      var group = ""
      for part in name.split(separator: "/").dropLast() {
        group += "/" + part
        guard try !exists(group) else { continue }
        H5Gclose(try check(H5Gcreate2(file, group, links, groupCreation, 0), group, "create the group"))
      }
      return try check(H5Dcreate2(file, name, type, space, links, creation, 0), name, "create the dataset")
    }
  }

  static func makeSpace(_ shape: [Int]) -> hid_t {
    shape.isEmpty ? H5Screate(H5S_SCALAR) : H5Screate_simple(Int32(shape.count), shape.map(hsize_t.init), nil)
  }

  func shape(of dataset: hid_t, _ name: String) throws -> [Int] {
    let space = try check(H5Dget_space(dataset), name, "read the shape")
    defer { H5Sclose(space) }
    let rank = Int(try check(H5Sget_simple_extent_ndims(space), name, "read the shape"))
    var dimensions = [hsize_t](repeating: 0, count: rank)
    try check(H5Sget_simple_extent_dims(space, &dimensions, nil), name, "read the shape")
    return try dimensions.map { dimension in
      guard let dimension = Int(exactly: dimension) else {
        throw StorageError(path: path, object: name, problem: "impossible shape \(dimensions)")
      }
      return dimension
    }
  }

  func elementCount(_ shape: [Int], _ name: String) throws -> Int {
    var count = 1
    for dimension in shape {
      let (product, overflow) = count.multipliedReportingOverflow(by: dimension)
      guard dimension >= 0, !overflow else {
        throw StorageError(path: path, object: name, problem: "impossible shape \(shape)")
      }
      count = product
    }
    return count
  }

  private func requireType(_ expected: HDF5ElementType, of dataset: hid_t, _ name: String) throws {
    let type = try check(H5Dget_type(dataset), name, "read the type")
    defer { H5Tclose(type) }
    guard HDF5ElementType(fileType: type) == expected else {
      let found = HDF5ElementType.describe(fileType: type)
      throw StorageError(
        path: path, object: name, problem: "holds \(found), expected \(expected.rawValue)")
    }
  }

  /// A damaged header must not make us ask the system for more memory than there is.
  func requireMemory(_ count: Int, _ size: Int, _ name: String) throws {
    let (bytes, overflow) = UInt64(count).multipliedReportingOverflow(by: UInt64(size))
    guard !overflow, bytes <= ProcessInfo.processInfo.physicalMemory else {
      throw StorageError(
        path: path, object: name,
        problem: "\(count) values of \(size) bytes are more than this machine has memory for")
    }
  }

  /// What was never written takes no room in a file, and reads as zeros: a file of a few bytes could fill the memory.
  ///
  /// No usual compression makes more than some thousand bytes of one.
  func requireStored(_ count: Int, _ size: Int, _ dataset: hid_t, _ name: String) throws {
    let bytes = UInt64(count) * UInt64(size)
    guard bytes > 256 << 20, bytes / 4096 > H5Dget_storage_size(dataset) else { return }
    throw StorageError(
      path: path, object: name, problem: "has \(count) values, almost none of which was ever written",
      advice: "the file is damaged, or its writing was interrupted; write or copy it anew")
  }

  private func withSlab(
    of dataset: hid_t, _ name: String, _ shape: [Int], _ rows: Range<Int>,
    _ body: (_ memory: hid_t, _ file: hid_t) throws -> Void
  ) throws {
    guard let height = shape.first, rows.lowerBound >= 0, rows.upperBound <= height else {
      throw StorageError(
        path: path, object: name,
        problem: "rows \(rows.lowerBound) to \(rows.upperBound) are outside the shape \(shape)")
    }
    let start = [rows.lowerBound] + shape.dropFirst().map { _ in 0 }
    let extent = [rows.count] + shape.dropFirst()
    let file = try check(H5Dget_space(dataset), name, "select rows")
    defer { H5Sclose(file) }
    let selection = H5Sselect_hyperslab(
      file, H5S_SELECT_SET, start.map(hsize_t.init), nil, extent.map(hsize_t.init), nil)
    try check(selection, name, "select rows")
    let memory = try check(HDF5File.makeSpace(extent), name, "select rows")
    defer { H5Sclose(memory) }
    try body(memory, file)
  }
}

import Foundation
import Storage
import Testing

@Suite struct HDF5DatasetsTests {
  private func roundTrip<T: HDF5Scalar & Equatable>(_ values: [T], checksum: Bool) throws -> Bool {
    try withTemporaryFolder { folder in
      let path = folder + "/file.h5"
      let writing = try HDF5File(creating: path)
      try writing.write(values, shape: [2, values.count / 2], to: "a/b/c", checksum: checksum)
      try writing.close()
      let reading = try HDF5File(opening: path)
      #expect(try reading.shape(of: "a/b/c") == [2, values.count / 2])
      #expect(try reading.elementType(of: "a/b/c") == T.elementType)
      return try reading.read("a/b/c", as: T.self) == values
    }
  }

  @Test(arguments: [false, true]) func everyElementTypeReturnsAsWritten(checksum: Bool) throws {
    #expect(try roundTrip([0, -1.5, .infinity, .leastNonzeroMagnitude] as [Float], checksum: checksum))
    #expect(try roundTrip([0, -1.5, .pi, 1e300] as [Double], checksum: checksum))
    #expect(try roundTrip([0, -1, .max, .min] as [Int32], checksum: checksum))
    #expect(try roundTrip([0, -1, .max, .min] as [Int64], checksum: checksum))
    #expect(try roundTrip([0, 1, 128, 255] as [UInt8], checksum: checksum))
    #expect(try roundTrip([0, 1, 128, .max] as [UInt32], checksum: checksum))
    #expect(try roundTrip([0, 1, 128, .max] as [UInt64], checksum: checksum))
  }

  @Test(arguments: [[], [0], [3, 0, 2], [5, 7, 11], [700_001], [3, 300_000], [2, 3, 1, 400_000]])
  func everyShapeReturnsAsWritten(shape: [Int]) throws {
    try withTemporaryFolder { folder in
      let count = shape.reduce(1, *)
      let values = (0..<count).map { Int32(truncatingIfNeeded: $0 &* 2_654_435_761) }
      try HDF5File.atomicallyWrite(to: folder + "/file.h5") { file in
        try file.write(values, shape: shape, to: "plain")
        try file.write(values, shape: shape, to: "checked", checksum: true)
      }
      let file = try HDF5File(opening: folder + "/file.h5")
      for name in ["plain", "checked"] {
        #expect(try file.shape(of: name) == shape)
        #expect(try file.read(name) == values)
      }
      // Cutting into chunks must not inflate the file.
      let size = try FileManager.default.attributesOfItem(atPath: folder + "/file.h5")[.size] as? Int
      #expect((size ?? .max) < 2 * 4 * count * 21 / 20 + 20_000)
    }
  }

  /// HDF5 computes the checksums again when it reads: ends within a token, within a row of vectors and beyond the rows
  /// after which sums are folded, and bytes whose sums are multiples of 65535.
  @Test func checksumsOfAnyLengthAreHDF5s() throws {
    try withTemporaryFolder { folder in
      let lengths = Array(1...130) + [19_199, 19_200, 19_201, 19_263, 38_465, 1_000_003]
      func bytes(_ length: Int, _ kind: String) -> [UInt8] {
        switch kind {
        case "zeros": [UInt8](repeating: 0, count: length)
        case "ones": [UInt8](repeating: 255, count: length)
        default: (0..<length).map { UInt8(truncatingIfNeeded: ($0 &* 2_654_435_761) >> 13) }
        }
      }
      let kinds = ["zeros", "ones", "mixed"]
      try HDF5File.atomicallyWrite(to: folder + "/file.h5") { file in
        for length in lengths {
          for kind in kinds {
            try file.write(bytes(length, kind), shape: [length], to: "\(kind)/\(length)", checksum: true)
          }
        }
      }
      let file = try HDF5File(opening: folder + "/file.h5")
      for length in lengths {
        for kind in kinds { #expect(try file.read("\(kind)/\(length)") == bytes(length, kind)) }
      }
    }
  }

  @Test func slabsAreWrittenAndReadByRows() throws {
    try withTemporaryFolder { folder in
      let path = folder + "/file.h5"
      let file = try HDF5File(creating: path)
      try file.createDataset("rows", shape: [6, 3], of: Float.self)
      try file.writeSlab((6..<18).map(Float.init), to: "rows", row: 2)
      try file.writeSlab((0..<6).map(Float.init), to: "rows", row: 0)
      #expect(try file.readSlab("rows", rows: 1..<3) == (3..<9).map(Float.init))
      #expect(try file.readSlab("rows", rows: 4..<4, as: Float.self) == [])
      let outside = storageError { try file.writeSlab([0, 0, 0, 0, 0, 0] as [Float], to: "rows", row: 5) }
      #expect(outside?.description.contains("rows 5 to 7 are outside the shape [6, 3]") == true)
      let ragged = storageError { try file.writeSlab([0, 0] as [Float], to: "rows", row: 0) }
      #expect(ragged?.object == "rows")
      try file.close()
      let again = try HDF5File(opening: path)
      #expect(try again.read("rows") == (0..<18).map(Float.init))
    }
  }

  @Test func contiguousPayloadCanBeReadPastHDF5() throws {
    try withTemporaryFolder { folder in
      let path = folder + "/file.h5"
      let bytes = (0..<100_000).map { UInt8(truncatingIfNeeded: $0 * 7) }
      try HDF5File.atomicallyWrite(to: path) { file in
        try file.createDataset("images/bytes", shape: [bytes.count], of: UInt8.self)
        try file.writeSlab(bytes, to: "images/bytes", row: 0)
        try file.write(bytes, shape: [bytes.count], to: "checked", checksum: true)
        try file.write([UInt8](), shape: [0], to: "empty")
      }
      let file = try HDF5File(opening: path)
      let offset = try #require(try file.contiguousOffset(of: "images/bytes"))
      let contents = try Data(contentsOf: URL(fileURLWithPath: path))
      #expect(Array(contents[Int(offset)..<(Int(offset) + bytes.count)]) == bytes)
      #expect(try file.contiguousOffset(of: "checked") == nil)
      #expect(try file.contiguousOffset(of: "empty") == nil)
    }
  }

  @Test func datasetsBeyondFourGigabytesAreAddressed() throws {
    try withTemporaryFolder { folder in
      let path = folder + "/file.h5"
      let count = 5 << 30  // a hole on the disk, but for what is written
      let file = try HDF5File(creating: path)
      try file.createDataset("big", shape: [count], of: UInt8.self)
      try file.writeSlab([1, 2, 3] as [UInt8], to: "big", row: count - 3)
      try file.close()
      let again = try HDF5File(opening: path)
      #expect(try again.shape(of: "big") == [count])
      #expect(try again.readSlab("big", rows: (count - 4)..<count) == [0, 1, 2, 3] as [UInt8])
    }
  }

  @Test func filesOfH5pyAreRead() throws {
    let file = try HDF5File(opening: fixture("h5py.h5"))
    #expect(try file.read("model/weight") == [0, 0.25, 0.5, 0.75, 1, 1.25] as [Float])
    #expect(try file.shape(of: "/model/weight") == [2, 3])
    #expect(try file.read("model/blocks/0/bias") == [1.5, -2.5] as [Double])
    #expect(try file.read("big_endian") == [1, 256, 65536] as [Int32])
    #expect(try file.read("offsets") == [0, 1 << 40] as [UInt64])
    #expect(try file.read("compressed") == (0..<1000).map(Int64.init))
    #expect(try file.read("scalar") == [2.5] as [Float])
    #expect(try file.elementType(of: "half") == nil)
  }

  @Test func wrongTypeOrShapeIsAnErrorThatNamesBoth() throws {
    let file = try HDF5File(opening: fixture("h5py.h5"))
    let type = storageError { try file.read("labels", as: Float.self) }
    #expect(type?.object == "labels")
    #expect(type?.problem == "holds int32, expected float32")
    #expect(
      storageError { try file.read("half", as: Float.self) }?.problem == "holds float16, expected float32")
    #expect(
      storageError { try file.read("names", as: Float.self) }?.problem == "holds strings, expected float32")
    var values = [Float](repeating: 0, count: 6)
    let shape = storageError {
      try values.withUnsafeMutableBufferPointer { try file.read("model/weight", into: $0, shape: [3, 2]) }
    }
    #expect(shape?.problem == "has shape [2, 3], expected [3, 2]")
    let count = storageError {
      try values.withUnsafeMutableBufferPointer {
        try file.read("model/weight", into: UnsafeMutableBufferPointer(rebasing: $0[..<5]))
      }
    }
    #expect(count?.problem.contains("expected 5 values") == true)
    try values.withUnsafeMutableBufferPointer { try file.read("model/weight", into: $0, shape: [2, 3]) }
    #expect(values == [0, 0.25, 0.5, 0.75, 1, 1.25])
    try withTemporaryFolder { folder in
      let writing = try HDF5File(creating: folder + "/file.h5")
      #expect(
        storageError { try writing.write([1, 2, 3] as [Float], shape: [2, 2], to: "x") }?.object == "x")
    }
  }

  @Test func damagedDataIsNoticed() throws {
    try withTemporaryFolder { folder in
      let path = folder + "/file.h5"
      let values = (0..<500_000).map(Float.init)
      try HDF5File.atomicallyWrite(to: path) {
        try $0.write(values, shape: [500_000], to: "model/weight", checksum: true)
      }
      var contents = try Data(contentsOf: URL(fileURLWithPath: path))
      contents[contents.count - 300_001] ^= 0x10
      try contents.write(to: URL(fileURLWithPath: path))
      let file = try HDF5File(opening: path)
      let error = try #require(storageError { try file.read("model/weight", as: Float.self) })
      #expect(error.path == path)
      #expect(error.object == "model/weight")
      #expect(error.problem.contains("Fletcher32"))
      #expect(error.advice?.contains("damaged") == true)
    }
  }
}

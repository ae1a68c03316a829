import Foundation
import Storage
import Tensors

/// Values that a reference implementation wrote to an HDF5 file in the folder `Fixtures` beside a test.
public struct FixtureFile {
  private let file: HDF5File
  private let group: String

  /// Opens the file `name` in the folder `Fixtures` beside the source file that calls.
  ///
  /// - Parameter target: Another target of tests, whose fixtures they are.
  public init(_ name: String, of target: String? = nil, beside source: String = #filePath) throws {
    useSeveralThreads()
    var folder = URL(fileURLWithPath: source).deletingLastPathComponent()
    if let target { folder = folder.deletingLastPathComponent().appendingPathComponent(target) }
    folder.appendPathComponent("Fixtures")
    file = try HDF5File(opening: folder.appendingPathComponent(name).path)
    group = ""
  }

  private init(_ file: HDF5File, group: String) {
    self.file = file
    self.group = group
  }

  /// The part of the file below the group `name`.
  public subscript(name: String) -> FixtureFile { FixtureFile(file, group: path(name)) }

  /// Names of what lies in this group.
  public func names() throws -> [String] { try file.list(group.isEmpty ? "/" : group) }

  /// Whether there is a dataset or group of this name.
  public func contains(_ name: String) throws -> Bool { try file.exists(path(name)) }

  /// A float32 dataset as a tensor.
  public func tensor(_ name: String) throws -> Tensor {
    Tensor(try file.read(path(name), as: Float.self), shape: try file.shape(of: path(name)))
  }

  /// An int32 dataset.
  public func integers(_ name: String) throws -> [Int] {
    try file.read(path(name), as: Int32.self).map { Int($0) }
  }

  private func path(_ name: String) -> String { group.isEmpty ? name : group + "/" + name }
}

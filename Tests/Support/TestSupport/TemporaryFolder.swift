import Foundation
import Tensors

/// Runs `body` with a folder of its own, which is removed after, and in an execution context of its own: commands set
/// the number of threads, which must not change for tests that compute beside.
public func withTemporaryFolder<Result>(_ body: (String) throws -> Result) throws -> Result {
  useSeveralThreads()
  let folder = FileManager.default.temporaryDirectory.appendingPathComponent("peco-\(UUID().uuidString)").path
  try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
  defer { try? FileManager.default.removeItem(atPath: folder) }
  return try ExecutionContext.$current.withValue(ExecutionContext(threads: 3)) { try body(folder) }
}

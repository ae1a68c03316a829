import Foundation
import Storage

/// Runs `body` with a folder of its own that is removed afterwards.
func withTemporaryFolder<Result>(_ body: (String) throws -> Result) throws -> Result {
  let folder = FileManager.default.temporaryDirectory.appendingPathComponent("peco-\(UUID().uuidString)")
  try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
  defer { try? FileManager.default.removeItem(at: folder) }
  return try body(folder.path)
}

func fixture(_ name: String) -> String {
  URL(fileURLWithPath: #filePath).deletingLastPathComponent()
    .appendingPathComponent("Fixtures/\(name)").path
}

/// The `StorageError` that `body` throws, if it throws one.
func storageError<Result>(_ body: () throws -> Result) -> StorageError? {
  do {
    _ = try body()
    return nil
  } catch {
    return error as? StorageError
  }
}

/// Whether the system has a device that is always full, as Linux has.
let canFillDisk = FileManager.default.fileExists(atPath: "/dev/full")

/// Makes the unfinished file of an atomic write to `path` a device that is always full.
func fillDisk(beneath path: String) throws {
  let url = URL(fileURLWithPath: path)
  let partial = ".\(url.lastPathComponent).partial-\(getpid())"
  try FileManager.default.createSymbolicLink(
    atPath: url.deletingLastPathComponent().appendingPathComponent(partial).path,
    withDestinationPath: "/dev/full")
}

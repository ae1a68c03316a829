import CHDF5
import Foundation

/// The one door to the HDF5 library: one caller at a time, no printing, failures read off the error stack.
enum HDF5Library {
  /// HDF5 may be built without thread safety; this lock makes that no concern of the callers.
  private static let lock: NSRecursiveLock = {
    // A file whose disk filled up stays in the library's memory, and its clean-up at exit crashes on it.
    // There is nothing to clean up: what `close()` has not written is given up anyway.
    H5dont_atexit()
    return NSRecursiveLock()
  }()

  static func locked<Result>(_ body: () throws -> Result) rethrows -> Result {
    lock.lock()
    defer { lock.unlock() }
    peco_h5_silence()
    return try body()
  }

  /// The library's version, such as "1.10.8".
  static var version: String {
    var (major, minor, release): (UInt32, UInt32, UInt32) = (0, 0, 0)
    _ = locked { H5get_libversion(&major, &minor, &release) }
    return "\(major).\(minor).\(release)"
  }

  /// What HDF5 says went wrong in the call just made on this thread.
  static func lastFailure() -> String {
    var failure = peco_h5_failure()
    peco_h5_last_failure(&failure)
    let text = String(cString: peco_h5_failure_text(&failure))
    // "file write failed: time = ..., errno = 28, error message = 'No space left on device', buf = 0x..."
    if let start = text.range(of: "error message = '"),
      let end = text.range(of: "'", range: start.upperBound..<text.endIndex)
    {
      return String(text[start.upperBound..<end.lowerBound])
    }
    return text.isEmpty ? "unknown HDF5 error" : text
  }
}

extension HDF5File {
  /// Passes on a result of HDF5, or throws with its reason when it is negative.
  @discardableResult
  func check<Result: SignedInteger>(
    _ result: Result, _ object: String?, _ action: String, advice: String? = nil
  ) throws -> Result {
    if result >= 0 { return result }
    let reason = HDF5Library.lastFailure()
    throw StorageError(
      path: path, object: object, problem: "cannot \(action): \(reason)",
      advice: advice ?? HDF5File.advice(for: reason))
  }

  static func advice(for reason: String) -> String? {
    let reason = reason.lowercased()
    if reason.contains("no space left") || reason.contains("quota") || reason.contains("file too large") {
      return "free some space or choose another disk"
    }
    if reason.contains("fletcher32") {
      return "the data on disk is damaged; restore the file from a copy or make it anew"
    }
    if reason.contains("truncated file") || reason.contains("addr overflow") {
      return "the file was cut short, perhaps by a copy that did not finish; copy or make it anew"
    }
    if reason.contains("signature not found") { return "this is not an HDF5 file" }
    if reason.contains("permission denied") { return "check the permissions of the file and its folder" }
    if reason.contains("no such file") { return "check the path" }
    if reason.contains("lock") { return "another process is writing this file" }
    return nil
  }
}

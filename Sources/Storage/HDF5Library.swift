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
  static func lastFailure() -> HDF5Failure {
    var failure = peco_h5_failure()
    peco_h5_last_failure(&failure)
    return HDF5Failure(String(cString: peco_h5_failure_text(&failure)))
  }
}

/// What the library says of a call that failed.
struct HDF5Failure: Error {
  /// Why it failed, in few words.
  let reason: String
  /// The system's number where the library was refused a lock.
  let lockCode: Int32?

  /// Reads a description such as "file write failed: time = ..., errno = 28, error message = 'No space left on device',
  /// buf = 0x..." or "unable to lock file, errno = 11, error message = 'Resource temporarily unavailable'".
  init(_ text: String) {
    func part(after mark: String, upTo end: String) -> Substring? {
      guard let start = text.range(of: mark) else { return nil }
      let rest = text[start.upperBound...]
      return rest.range(of: end).map { rest[..<$0.lowerBound] }
    }
    let words = part(after: "error message = '", upTo: "'").map(String.init)
    reason = words ?? (text.isEmpty ? "unknown HDF5 error" : text)
    lockCode =
      text.hasPrefix("unable to lock") ? part(after: "errno = ", upTo: ",").flatMap { Int32($0) } : nil
  }
}

extension HDF5File {
  /// Passes on a result of HDF5, or throws with its reason when it is negative.
  @discardableResult
  func check<Result: SignedInteger>(
    _ result: Result, _ object: String?, _ action: String, advice: String? = nil
  ) throws -> Result {
    if result >= 0 { return result }
    throw error(HDF5Library.lastFailure(), object, action, advice: advice)
  }

  /// A failure of the library as an error that names the file and the object.
  func error(
    _ failure: HDF5Failure, _ object: String?, _ action: String, advice: String? = nil
  ) -> StorageError {
    StorageError(
      path: path, object: object, problem: "cannot \(action): \(failure.reason)",
      advice: advice ?? HDF5File.advice(for: failure.reason))
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
    return nil
  }
}

import CHDF5
import Foundation

/// HDF5's lock on a file that it opens, by `flock`, and what to do where file systems of clusters refuse it.
extension HDF5File {
  /// HDF5's own variable: whether files are locked, whatever a program says.
  static let lockingVariable = "HDF5_USE_FILE_LOCKING"

  /// Opens with a lock or without. Where the file system has no locks the file is opened without: there nobody could
  /// hold one against it.
  ///
  /// Throws where another process has the lock, and where `HDF5_USE_FILE_LOCKING` asks for one that nobody can have.
  func withLock(
    ifWanted isWanted: Bool, _ action: String, open: (_ locked: Bool) throws -> Result<hid_t, HDF5Failure>
  ) throws -> hid_t {
    var result = try open(isWanted)
    if isWanted, case .noLocks = refusal(of: result) { result = try open(false) }
    guard case .failure(let failure) = result else { return try result.get() }
    let setting =
      ProcessInfo.processInfo.environment[Self.lockingVariable]
      .map { "\(Self.lockingVariable)=\($0) asks for one; " } ?? ""
    switch refusal(of: result) {
    case .held:
      throw StorageError(
        path: path,
        problem: "cannot \(action): another process has locked it\(LockRefusal.holders(of: path))",
        advice: "wait for it, or end it")
    case .noLocks(let reason):
      throw StorageError(
        path: path, problem: "cannot \(action): its file system has no locks (\(reason))",
        advice: setting + "set \(Self.lockingVariable)=FALSE in the environment")
    case nil: throw error(failure, nil, action)
    }
  }

  /// What is meant where the library was refused a lock; nil where that was not what went wrong.
  private func refusal(of result: Result<hid_t, HDF5Failure>) -> LockRefusal? {
    guard case .failure(let failure) = result else { return nil }
    return failure.lockCode.flatMap { LockRefusal(code: $0, of: path) }
  }
}

import CFileIO
import Foundation
import Threads

/// Has the disk take up what is written to a file while more is computed and written: left to itself the kernel hoards
/// it, and the flush at the end finds an idle disk and a gigabyte to move.
///
/// Unchecked: a condition guards everything that changes.
final class Writeback: @unchecked Sendable {
  private let path: String
  private let condition = NSCondition()
  private var isStopping = false
  private var isRunning = false

  /// Begins to watch a file, which need not be there yet.
  init(of path: String) {
    self.path = path
    // Where there is no thread for it, the flush does all the work.
    isRunning = (try? WorkerThread.start("writeback") { self.run() }) != nil
  }

  /// Ends the watch. Says nothing of what is on the disk: that takes a flush.
  func stop() {
    condition.withLock {
      isStopping = true
      condition.broadcast()
      while isRunning { condition.wait() }
    }
  }

  private func run() {
    var descriptor: Int32 = -1
    condition.lock()
    while !isStopping {
      _ = condition.wait(until: Date(timeIntervalSinceNow: 0.02))
      condition.unlock()
      if descriptor < 0 { descriptor = open(path, O_RDONLY) }
      // A hint: where it fails, the flush does all the work and tells of errors.
      if descriptor >= 0 { peco_start_writeback(descriptor) }
      condition.lock()
    }
    if descriptor >= 0 { close(descriptor) }
    isRunning = false
    condition.broadcast()
    condition.unlock()
  }
}

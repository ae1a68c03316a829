import Foundation
import Testing
import Threads

@Suite struct WorkerThreadTests {
  @Test func threadsRunSideBySide() throws {
    // Each waits for the other.
    let (first, second) = (DispatchSemaphore(value: 0), DispatchSemaphore(value: 0))
    let done = DispatchSemaphore(value: 0)
    try WorkerThread.start("first") {
      second.signal()
      first.wait()
      done.signal()
    }
    try WorkerThread.start("second") {
      second.wait()
      first.signal()
      done.signal()
    }
    for _ in 0..<2 { #expect(done.wait(timeout: .now() + 60) == .success) }
  }

  @Test func aThreadThatTheSystemDoesNotGiveIsAnError() throws {
    let error = #expect(throws: WorkerThreadError.self) {
      // No memory for such a stack.
      try WorkerThread.start("much", stackSize: 1 << 60) { Issue.record("it ran") }
    }
    #expect("\(try #require(error))".contains("no thread for much"))
  }
}

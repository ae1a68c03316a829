import ArgumentParser
import Datasets
import Foundation
import Preparation
import Terminal
import Threads

/// Runs work that Ctrl-C and SIGTERM end in good order: what it had begun to write is removed.
func withInterruption<Result>(_ body: (Cancellation) throws -> Result) throws -> Result {
  StopSignal.listen()
  let cancellation = StopSignal.cancellation
  do {
    return try body(cancellation)
  } catch {
    guard cancellation.isCancelled else { throw error }
    FileHandle.standardError.write(Data("\((error as? DatasetError)?.worded ?? error)\n".utf8))
    throw ExitCode(130)
  }
}

/// A duration for people, tenths of seconds included while they matter.
func formatted(seconds: Double) -> String {
  seconds < 60 ? String(format: "%.1f s", seconds) : Quantity.duration(seconds)
}

/// How many threads a dataset command uses unless told otherwise.
func defaultWorkers() -> Int { ProcessInfo.processInfo.activeProcessorCount }

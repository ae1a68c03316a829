import Communication
import Foundation
import Tensors
import Terminal
import Trainer

/// Runs `body` on every rank of the job; an error on any ends the whole job with a non-zero code. For commands: it ends
/// the process where something is wrong.
///
/// - Parameter body: Returns the code to exit with when all is well.
public func onAllRanks(_ body: @escaping (Communicator) throws -> Int32) {
  let communicator: Communicator
  do {
    communicator = try Communicator.start()
  } catch {
    FileHandle.standardError.write(Data("error: \(error)\n".utf8))
    exit(1)
  }
  do {
    // What fails in an operation, which cannot throw, ends all ranks as any other error does.
    let context = ExecutionContext(cancellation: StopSignal.cancellation)
    let code = try context.run { try body(communicator) }
    communicator.finish()
    if code != 0 { exit(code) }
  } catch {
    communicator.fail(error)
  }
}

/// Trains on every rank of the job, as `onAllRanks` runs. Ctrl-C, SIGTERM and SIGUSR1 end the run after the step at
/// hand, with a checkpoint written; the exit code is 75 then.
///
/// - Parameter train: Trains with the ranks that it is given.
public func trainOnAllRanks(_ train: @escaping (Communicator) throws -> TrainingLoop.Outcome) {
  onAllRanks {
    StopSignal.listen()
    return try train($0).exitCode
  }
}

extension TrainingLoop.Outcome {
  /// 75 (EX_TEMPFAIL) after a signal: a scheduler's script tells by it that the run is to be started again.
  public var exitCode: Int32 { signal != nil && !isComplete ? 75 : 0 }
}

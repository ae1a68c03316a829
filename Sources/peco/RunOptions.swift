import ArgumentParser
import Communication
import Foundation
import Trainer

/// What every training command is told.
struct RunOptions: ParsableArguments {
  @Option(help: ArgumentHelp("The recipe to run (YAML).", valueName: "file"))
  var config: String

  @Option(
    help: ArgumentHelp("The run's directory: configuration, metrics, checkpoints.", valueName: "directory"))
  var run: String

  @Option(
    help: ArgumentHelp(
      "Where to go on from: auto (the newest checkpoint in the run's directory that verifies, or the beginning), "
        + "never, or a checkpoint file or another run.", valueName: "auto|never|checkpoint"))
  var resume = "auto"

  @Option(
    name: .customLong("set"), parsing: .upToNextOption,
    help: ArgumentHelp("Overrides keys of the configuration.", valueName: "key.path=value"))
  var overrides: [String] = []

  func validate() throws {
    for (option, value) in [("--config", config), ("--run", run), ("--resume", resume)] where value.isEmpty {
      throw ValidationError("\(option) is empty; is a variable unset?")
    }
  }

  /// The same, as `Training` takes it.
  var request: RunRequest {
    RunRequest(
      configuration: config, directory: run, resume: ResumeChoice(argument: resume), overrides: overrides)
  }
}

/// Runs `body` on every rank of the job; an error on any ends the whole job with a non-zero code.
///
/// - Parameter body: Returns the code to exit with when all is well.
func onAllRanks(_ body: (Communicator) throws -> Int32) {
  let communicator: Communicator
  do {
    communicator = try Communicator.start()
  } catch {
    FileHandle.standardError.write(Data("error: \(error)\n".utf8))
    exit(1)
  }
  do {
    let code = try body(communicator)
    communicator.finish()
    if code != 0 { exit(code) }
  } catch {
    communicator.fail(error)
  }
}

extension TrainingLoop.Outcome {
  /// 75 (EX_TEMPFAIL) after a signal: a scheduler's script tells by it that the run is to be started again.
  var exitCode: Int32 { signal != nil && !isComplete ? 75 : 0 }
}

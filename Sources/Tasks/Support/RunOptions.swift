import ArgumentParser
import Communication
import Foundation
import Trainer

/// What every training command is told.
public struct RunOptions: ParsableArguments {
  public init() {}

  @Option(help: ArgumentHelp("The configuration to run, YAML.", valueName: "file.yaml"), completion: .yaml)
  public var config: String

  @Option(
    help: ArgumentHelp("The run's directory: configuration, metrics, checkpoints.", valueName: "directory"),
    completion: .directory)
  public var run: String

  @Option(
    help: ArgumentHelp(
      "Where to go on from: auto (the newest checkpoint in the run's directory that verifies, or the beginning), "
        + "never, or a checkpoint file or another run.", valueName: "auto|never|checkpoint"),
    completion: .list(["auto", "never"]))
  public var resume = "auto"

  @Option(
    name: .customLong("set"), parsing: .upToNextOption,
    help: ArgumentHelp(
      "Overrides keys of the configuration, which docs/configuration.md lists; by default none.",
      valueName: "key.path=value"))
  public var overrides: [String] = []

  public func validate() throws {
    for (option, value) in [("--config", config), ("--run", run), ("--resume", resume)] where value.isEmpty {
      throw ValidationError("\(option) is empty; is a variable unset?")
    }
  }

  /// What the run is asked to do.
  public var request: RunRequest {
    RunRequest(
      configuration: config, directory: run, resume: ResumeChoice(argument: resume), overrides: overrides)
  }
}

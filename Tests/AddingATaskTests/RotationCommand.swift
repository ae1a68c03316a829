import ArgumentParser
import TaskSupport

/// `peco rotation`.
struct RotationCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "rotation",
    abstract: "Trains a transformer to predict rotations; data-parallel under mpirun.",
    discussion: """
      Example:
        peco rotation --config rotation.yaml --run runs/rotation
      """)

  @OptionGroup var options: RunOptions

  func run() throws {
    trainOnAllRanks { try trainRotation(options.request, communicator: $0) }
  }
}

/// Trains a transformer to predict rotations.
public enum RotationDefinition: TaskDefinition {
  public static var commands: [any ParsableCommand.Type] { [RotationCommand.self] }
  public static var headlines: [String] { RotationTask.headlines }
}

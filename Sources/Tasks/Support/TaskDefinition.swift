import ArgumentParser

/// A task as the program knows it: its name, and the commands that it brings.
public protocol TaskDefinition {
  /// The name in checkpoints, and in the registry.
  static var name: String { get }
  /// What it does, in a line.
  static var summary: String { get }
  /// The commands at the top of `peco`.
  static var commands: [any ParsableCommand.Type] { get }
  /// The commands below `peco figure`.
  static var figures: [any ParsableCommand.Type] { get }
}

extension TaskDefinition {
  public static var commands: [any ParsableCommand.Type] { [] }
  public static var figures: [any ParsableCommand.Type] { [] }
}

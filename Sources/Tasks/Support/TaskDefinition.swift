import ArgumentParser

/// A task as the program knows it: the commands that it brings, and the metrics that tell of it.
public protocol TaskDefinition {
  /// The commands at the top of `peco`.
  static var commands: [any ParsableCommand.Type] { get }
  /// The commands below `peco figure`.
  static var figures: [any ParsableCommand.Type] { get }
  /// The commands below `peco perceptual`.
  static var perceptual: [any ParsableCommand.Type] { get }
  /// The metrics that reports on its runs begin with.
  static var headlines: [String] { get }
}

extension TaskDefinition {
  public static var commands: [any ParsableCommand.Type] { [] }
  public static var figures: [any ParsableCommand.Type] { [] }
  public static var perceptual: [any ParsableCommand.Type] { [] }
  public static var headlines: [String] { [] }
}

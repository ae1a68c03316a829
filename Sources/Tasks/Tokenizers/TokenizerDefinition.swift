import ArgumentParser
import TaskSupport
import TokenizerSupport

/// Trains the tokenizer, encodes datasets into tokens, and measures both.
public enum TokenizerDefinition: TaskDefinition {
  public static var commands: [any ParsableCommand.Type] { [TokenizerCommand.self] }
  public static var figures: [any ParsableCommand.Type] {
    [ReconstructionsCommand.self, CodebookCommand.self]
  }
  public static var perceptual: [any ParsableCommand.Type] { [PerceptualDistanceCommand.self] }
  public static var headlines: [String] { TokenizerSettings.headlines }
}

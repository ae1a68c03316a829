import ArgumentParser
import TaskSupport

/// Trains the tokenizer, encodes datasets into tokens, and measures both.
public enum TokenizerDefinition: TaskDefinition {
  public static let name = "tokenizer"
  public static let summary = "Trains the tokenizer, encodes datasets into tokens, and measures both."
  public static var commands: [any ParsableCommand.Type] { [TokenizerCommand.self] }
  public static var figures: [any ParsableCommand.Type] {
    [ReconstructionsCommand.self, CodebookCommand.self]
  }
}

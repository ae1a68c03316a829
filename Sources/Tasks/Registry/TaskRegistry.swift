import ArgumentParser
import Classification
import Features
import MaskedImageModeling
import MomentumContrastTraining
import TaskSupport
import Tokenizers

/// Every task of the program. A new one is entered here.
public enum TaskRegistry {
  /// The tasks, in the order in which their commands are listed.
  public static var all: [any TaskDefinition.Type] {
    [
      MomentumContrastDefinition.self, TokenizerDefinition.self, MaskedImageModelingDefinition.self,
      ClassificationDefinition.self, FeaturesDefinition.self,
    ]
  }

  /// The commands that the tasks bring.
  public static var commands: [any ParsableCommand.Type] { all.flatMap { $0.commands } }

  /// What the tasks draw.
  public static var figures: [any ParsableCommand.Type] { all.flatMap { $0.figures } }

  /// What they do with perceptual networks.
  public static var perceptual: [any ParsableCommand.Type] { all.flatMap { $0.perceptual } }

  /// The metrics that reports begin with, each once.
  public static var headlines: [String] {
    all.flatMap { $0.headlines }.reduce(into: []) { if !$0.contains($1) { $0.append($1) } }
  }
}

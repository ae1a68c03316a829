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
      TokenizerDefinition.self, MaskedImageModelingDefinition.self, MomentumContrastDefinition.self,
      ClassificationDefinition.self, FeaturesDefinition.self,
    ]
  }

  /// The commands that the tasks bring.
  public static var commands: [any ParsableCommand.Type] { all.flatMap { $0.commands } }

  /// What the tasks draw.
  public static var figures: [any ParsableCommand.Type] { all.flatMap { $0.figures } }

  /// The metrics that reports begin with.
  public static var headlines: [String] { all.flatMap { $0.headlines } }
}

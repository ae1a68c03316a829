import ArgumentParser
import TaskSupport

/// Pretrains a vision transformer by predicting the tokens of masked patches.
public enum MaskedImageModelingDefinition: TaskDefinition {
  public static var commands: [any ParsableCommand.Type] { [PretrainCommand.self] }
  public static var figures: [any ParsableCommand.Type] { [MaskedCommand.self] }
  public static var headlines: [String] { MaskedImageModelingTask.headlines }
}

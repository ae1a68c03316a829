import ArgumentParser
import TaskSupport

/// Pretrains a vision transformer by predicting the tokens of masked patches.
public enum MaskedImageModelingDefinition: TaskDefinition {
  public static let name = "masked_image_modeling"
  public static let summary = "Pretrains a vision transformer by predicting the tokens of masked patches."
  public static var commands: [any ParsableCommand.Type] { [PretrainCommand.self] }
  public static var figures: [any ParsableCommand.Type] { [MaskedCommand.self] }
}

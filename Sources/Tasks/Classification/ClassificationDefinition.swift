import ArgumentParser
import TaskSupport

/// Trains classifiers of images, and evaluates them.
public enum ClassificationDefinition: TaskDefinition {
  public static let name = "classification"
  public static let summary = "Trains classifiers of images, and evaluates them."
  public static var commands: [any ParsableCommand.Type] { [FinetuneCommand.self, EvaluateCommand.self] }
}

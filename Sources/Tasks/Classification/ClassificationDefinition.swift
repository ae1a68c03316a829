import ArgumentParser
import TaskSupport

/// Trains classifiers of images, and evaluates them.
public enum ClassificationDefinition: TaskDefinition {
  public static var commands: [any ParsableCommand.Type] { [FinetuneCommand.self, EvaluateCommand.self] }
  public static var headlines: [String] { ClassificationTask.headlines }
}

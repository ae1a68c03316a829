import ArgumentParser
import TaskSupport

/// Probes and writes the features of frozen transformers.
public enum FeaturesDefinition: TaskDefinition {
  public static var commands: [any ParsableCommand.Type] { [ProbeCommand.self, FeaturesCommand.self] }
  public static var figures: [any ParsableCommand.Type] { [AttentionCommand.self] }
}

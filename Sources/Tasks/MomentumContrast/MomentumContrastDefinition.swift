import ArgumentParser
import TaskSupport

/// Trains a perceptual network from unlabeled images by MoCo v3.
public enum MomentumContrastDefinition: TaskDefinition {
  public static var commands: [any ParsableCommand.Type] { [PerceptualCommand.self] }
  public static var headlines: [String] { MomentumContrastTask.headlines }
}

import ArgumentParser
import TaskSupport

/// Trains a perceptual network from unlabeled images by MoCo v3.
public enum MomentumContrastDefinition: TaskDefinition {
  public static let name = "momentum_contrast"
  public static let summary = "Trains a perceptual network from unlabeled images by MoCo v3."
  public static var commands: [any ParsableCommand.Type] { [PerceptualCommand.self] }
}

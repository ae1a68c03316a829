import ArgumentParser
import TaskSupport

/// Trains a perceptual network from unlabeled images by MoCo v3.
public enum MomentumContrastDefinition: TaskDefinition {
  public static var perceptual: [any ParsableCommand.Type] { [PerceptualTrainCommand.self] }
  public static var headlines: [String] { MomentumContrastTask.headlines }
}

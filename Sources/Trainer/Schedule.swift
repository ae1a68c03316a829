import Configuration
import Foundation

/// A value for every step: a line up to the peak, then a cosine, a line or nothing more.
///
/// As `cosine_scheduler` of BEiT's published code: the warm-up goes from its start at step 0 to the peak at its
/// last step; the cosine is at the peak at its first step and would reach the end one step after the last.
public struct Schedule: Sendable, Equatable {
  /// How the value goes on after the warm-up.
  public let shape: OptimizerConfiguration.Shape
  /// Value at the end of the warm-up.
  public let peak: Double
  /// Value after the last step.
  public let end: Double
  /// Value at step 0 of the warm-up.
  public let warmupStart: Double
  /// Steps of the warm-up.
  public let warmupSteps: Int
  /// Steps in all.
  public let steps: Int

  /// A schedule over `steps` steps, `warmupSteps` of them spent rising.
  public init(
    shape: OptimizerConfiguration.Shape, peak: Double, end: Double, warmupStart: Double = 0,
    warmupSteps: Int = 0, steps: Int
  ) {
    self.shape = shape
    self.peak = peak
    self.end = end
    self.warmupStart = warmupStart
    self.warmupSteps = warmupSteps
    self.steps = steps
  }

  /// The value at a step, counted from 0; after the last step, the end.
  public func callAsFunction(_ step: Int) -> Double {
    if step < warmupSteps {
      let part = warmupSteps > 1 ? Double(step) / Double(warmupSteps - 1) : 0
      return warmupStart + (peak - warmupStart) * part
    }
    if shape == .constant { return peak }
    guard step < steps else { return end }
    let part = Double(step - warmupSteps) / Double(steps - warmupSteps)
    switch shape {
    case .constant: return peak
    case .linear: return peak + (end - peak) * part
    case .cosine: return end + 0.5 * (peak - end) * (1 + cos(.pi * part))
    }
  }
}

extension OptimizerConfiguration {
  /// The learning rate of each of `steps` steps.
  public func learningRateSchedule(
    steps: Int, stepsPerEpoch: Int, globalBatchSize: Int
  ) -> Schedule {
    Schedule(
      shape: schedule, peak: peakLearningRate(globalBatchSize: globalBatchSize),
      end: minimumLearningRate, warmupStart: warmupLearningRate,
      warmupSteps: warmup.steps(perEpoch: stepsPerEpoch), steps: steps)
  }

  /// The weight decay of each of `steps` steps.
  public func weightDecaySchedule(steps: Int) -> Schedule {
    Schedule(
      shape: weightDecayEnd == nil ? .constant : .cosine, peak: weightDecay,
      end: weightDecayEnd ?? weightDecay, warmupStart: 0, warmupSteps: 0, steps: steps)
  }
}

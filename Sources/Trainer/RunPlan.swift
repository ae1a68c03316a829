import Communication
import Configuration
import Datasets

/// A configuration worked out for a dataset and a number of ranks: how many steps, and what each is.
public struct RunPlan: Sendable {
  /// The keys that every task has.
  public let shared: SharedConfiguration
  /// Steps of a pass over the data.
  public let stepsPerEpoch: Int
  /// Steps of the whole run.
  public let steps: Int
  /// Micro-batches a rank computes in a step.
  public let microBatches: Int
  /// Most images of a micro-batch.
  public let microBatchSize: Int
  /// Learning rate of each step, counted from 0.
  public let learningRate: Schedule
  /// Weight decay of each step, counted from 0.
  public let weightDecay: Schedule

  /// Works a run out, or throws what is impossible about it.
  public init(_ shared: SharedConfiguration, sampler: GlobalSampler, share: RankShare) {
    self.shared = shared
    stepsPerEpoch = sampler.stepsPerEpoch
    steps = shared.training.length.steps(perEpoch: stepsPerEpoch)
    microBatches = share.microBatches
    microBatchSize = share.microBatchSize
    learningRate = shared.optimizer.learningRateSchedule(
      steps: steps, stepsPerEpoch: stepsPerEpoch, globalBatchSize: shared.training.globalBatchSize)
    weightDecay = shared.optimizer.weightDecaySchedule(steps: steps)
  }

  /// The last step of this start of the run.
  var lastStep: Int { min(steps, shared.training.stopAfterStep ?? steps) }
}

/// When a checkpoint is due besides the last step's.
struct CheckpointClock {
  private let configuration: CheckpointConfiguration
  private let stepsPerEpoch: Int
  private var lastWritten = ContinuousClock.now

  init(_ plan: RunPlan) {
    configuration = plan.shared.checkpoint
    stepsPerEpoch = plan.stepsPerEpoch
  }

  /// Whether the step itself asks for one: the same on every rank.
  func isDue(after step: Int) -> Bool {
    if let every = configuration.everySteps, step % every == 0 { return true }
    guard let every = configuration.everyEpochs else { return false }
    let steps = Double(stepsPerEpoch) * every
    return Int(Double(step) / steps) > Int(Double(step - 1) / steps)
  }

  /// Whether the time since the last asks for one: a matter of this rank's clock.
  var isOverdue: Bool {
    guard let minutes = configuration.everyMinutes else { return false }
    return lastWritten.duration(to: .now) / .seconds(60) >= minutes
  }

  mutating func restart() { lastWritten = .now }
}

import Communication
import Datasets
import Foundation
import Logging
import Tensors

/// The one loop that trains every stage: micro-batches to gradients, gradients over all ranks, optimizer,
/// metrics, checkpoints.
public final class TrainingLoop {
  /// How a run ended.
  public struct Outcome: Sendable {
    /// Steps done since the beginning of the run, over all its starts.
    public let step: Int
    /// Whether all steps of the configuration are done.
    public let isComplete: Bool
    /// The signal that ended the run early, if one did.
    public let signal: Int32?
  }

  private let recipe: any Recipe
  private let plan: RunPlan
  private let configuration: String
  private let run: RunDirectory
  private let communicator: Communicator
  private let logger: Logger
  private let flat: FlatParameters
  private let optimizer: Optimizer
  private let reducer: GradientReducer
  private var checkpointClock: CheckpointClock

  /// Takes the recipe's model over into flat buffers. Collective.
  ///
  /// - Parameter configuration: The resolved configuration, which checkpoints keep.
  public init(
    _ recipe: any Recipe, plan: RunPlan, configuration: String, run: RunDirectory, communicator: Communicator,
    logger: Logger
  ) throws {
    self.recipe = recipe
    self.plan = plan
    self.configuration = configuration
    self.run = run
    self.communicator = communicator
    self.logger = logger
    flat = FlatParameters(recipe.parameters)
    optimizer = Optimizer(flat, configuration: plan.shared.optimizer)
    checkpointClock = CheckpointClock(plan)
    reducer = try GradientReducer(
      communicator: communicator, gradients: flat.gradients.pointer, count: flat.count,
      parameters: flat.ranges, bucketBytes: Int(plan.shared.bucketMegabytes * 1_048_576))
  }

  /// Trains until the last step, the step to stop after, or a signal.
  ///
  /// - Parameters:
  ///   - checkpoint: Where to go on from; nil to begin with the initial weights.
  ///   - makeLoader: Makes the source of batches, which begins with a given step, counted from 0.
  public func train(
    from checkpoint: String?, reading makeLoader: (_ firstStep: Int) throws -> Loader
  ) throws -> Outcome {
    let firstStep = try begin(from: checkpoint)
    guard firstStep < plan.lastStep else {
      logger.notice("step \(firstStep) of \(plan.steps) is done already; nothing is left to do")
      return Outcome(step: firstStep, isComplete: firstStep >= plan.steps, signal: nil)
    }
    let loader = try communicator.agree { try makeLoader(firstStep) }
    defer { loader.stop() }
    let metrics = try communicator.agree {
      communicator.isRoot ? try MetricsWriter(path: run.metricsPath, after: firstStep) : nil
    }
    let progress =
      communicator.isRoot
      ? ProgressLine(from: firstStep, to: plan.lastStep, everySteps: plan.shared.logEverySteps) : nil
    checkpointClock.restart()

    var step = firstStep
    var end = StepEnd()
    while step < plan.lastStep, end.signal == nil {
      let measured: Metrics
      (measured, end) = try advance(from: step, reading: loader)
      step += 1
      try metrics?.write(measured)
      progress?.update(
        step: step, loss: measured.loss, imagesPerSecond: measured.imagesPerSecond,
        others: Array(measured.others.prefix(2)))
      let isLast = step == plan.lastStep || end.signal != nil
      if isLast || end.isCheckpointOverdue || checkpointClock.isDue(after: step) {
        try writeCheckpoint(after: step, isLast: isLast)
      }
    }
    progress?.finish()
    return Outcome(step: step, isComplete: step >= plan.steps, signal: end.signal)
  }

  // MARK: - One step

  /// What ranks agreed on at the end of a step.
  private struct StepEnd {
    /// The signal that arrived on any of them.
    var signal: Int32?
    /// Whether rank 0's clock asks for a checkpoint.
    var isCheckpointOverdue = false
  }

  /// Makes the step that follows `step` steps.
  private func advance(from step: Int, reading loader: Loader) throws -> (Metrics, StepEnd) {
    let start = ContinuousClock.now
    let gradients = try computeGradients(loader)
    let communication = try reducer.finish()

    let isOverdue = communicator.isRoot && checkpointClock.isOverdue
    let own = [
      gradients.loss, gradients.trouble == nil ? 0 : 1, Double(StopSignal.pending ?? 0), isOverdue ? 1 : 0,
      gradients.secondsWaited, communication.exposedSeconds,
    ]
    let sums = try communicator.allReduce(.sum, own + recipe.takeSums())
    if sums[1] > 0 {
      throw NonFiniteError.loss(step: step + 1, places: try communicator.allGather(gradients.trouble ?? ""))
    }
    let norm = GradientNorm.norm(of: flat)
    guard norm.isFinite else { throw NonFiniteError.gradient(step: step + 1, loss: sums[0], in: flat) }

    let learningRate = plan.learningRate(step)
    optimizer.update(
      learningRate: learningRate, weightDecay: plan.weightDecay(step),
      gradientScale: GradientNorm.clipFactor(norm: norm, limit: plan.shared.optimizer.clipGradientNorm))
    var measures = try recipe.finishStep(
      step + 1, sums: Array(sums[own.count...]), communicator: communicator)
    measures.append(("data_wait_seconds", sums[4] / Double(communicator.size)))
    measures.append(("communication_exposed_seconds", sums[5] / Double(communicator.size)))

    let seconds = start.duration(to: .now) / .seconds(1)
    let metrics = Metrics(
      step: step + 1, epoch: step / plan.stepsPerEpoch, loss: sums[0], learningRate: learningRate,
      gradientNorm: norm, imagesPerSecond: Double(plan.shared.training.globalBatchSize) / seconds,
      seconds: seconds, others: measures)
    let signal = sums[2] > 0 ? StopSignal.pending ?? SIGTERM : nil
    return (metrics, StepEnd(signal: signal, isCheckpointOverdue: sums[3] > 0))
  }

  /// Adds up this rank's gradients over its micro-batches, handing each parameter to the reducer as it is final.
  private func computeGradients(
    _ loader: Loader
  ) throws -> (loss: Double, secondsWaited: Double, trouble: String?) {
    let globalBatchSize = Float(plan.shared.training.globalBatchSize)
    var loss = 0.0
    var secondsWaited = 0.0
    reducer.begin()
    for index in 0..<plan.microBatches {
      guard let batch = try loader.next() else { throw RunError("the loader stopped") }
      secondsWaited += batch.secondsWaited
      let share = Float(batch.samples.count) / globalBatchSize
      let tape = Tape()
      let mean = try recipe.loss(of: batch, on: tape)
      loss += Double(mean.item) * Double(share)
      guard mean.item.isFinite else {
        // The other ranks are on their way to the reduction: meet them there, and end together afterwards.
        let place = "rank \(communicator.rank) on \(communicator.hostname), samples \(batch.samples)"
        return (loss, secondsWaited, place)
      }
      let isLast = index == plan.microBatches - 1
      tape.backward(
        from: mean, scale: share, onReady: isLast ? { [reducer] in reducer.ready($0.index) } : nil)
    }
    return (loss, secondsWaited, nil)
  }

  // MARK: - Beginning and checkpoints

  /// Fills the flat buffers, from a checkpoint or with the initial weights, alike on all ranks.
  ///
  /// - Returns: The steps done so far.
  private func begin(from checkpoint: String?) throws -> Int {
    let loaded = try communicator.agree {
      guard let checkpoint, communicator.isRoot else { return (step: 0, updates: 0) }
      let header = try Checkpoint.load(
        checkpoint, into: recipe.parameters, optimizer: optimizer, kind: recipe.kind)
      return (header.step, header.updates)
    }
    let step = Int(try communicator.allReduce(.max, Int64(loaded.step)))
    try communicator.broadcast(flat.values.pointer, count: flat.count)
    if step > 0 {
      try communicator.broadcast(optimizer.firstMoment.pointer, count: flat.count)
      try communicator.broadcast(optimizer.secondMoment.pointer, count: flat.count)
      optimizer.updates = Int(try communicator.allReduce(.max, Int64(loaded.updates)))
    }
    for state in recipe.parameters where state.kind == .state {
      try communicator.broadcast(state.value.pointer, count: state.count)
    }
    try communicator.checkEqual(checksum: weightChecksum(recipe.parameters), what: "the weights at the start")
    return step
  }

  /// Writes a checkpoint on rank 0. A periodic one that fails is reported and tried again at the next occasion,
  /// so that a disk that is full for an hour does not end a run of weeks; the last one must succeed.
  private func writeCheckpoint(after step: Int, isLast: Bool) throws {
    let result = Result {
      guard communicator.isRoot else { return }
      let header = CheckpointHeader(
        kind: recipe.kind, step: step, epoch: step / plan.stepsPerEpoch,
        samplePosition: step % plan.stepsPerEpoch * plan.shared.training.globalBatchSize,
        updates: optimizer.updates, seed: plan.shared.seed, configuration: configuration)
      try run.checkpoints.save(header, parameters: recipe.parameters, optimizer: optimizer)
    }
    do {
      try communicator.agree(on: result)
    } catch  where !isLast {
      logger.error("the checkpoint of step \(step) failed; training goes on and will try again: \(error)")
    }
    checkpointClock.restart()
  }
}

import Communication
import Configuration
import Datasets
import Foundation
import Logging
import Tensors
import Terminal

/// The one loop that trains every task: steps, metrics, checkpoints, and when to stop.
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

  private let task: any TrainingTask
  private let plan: RunPlan
  private let configuration: String
  private let inputs: [RunInput]
  private let run: RunDirectory
  private let communicator: Communicator
  private let logger: Logger
  private let step: TrainingStep
  private var checkpointClock: CheckpointClock

  /// Takes the task's units over into flat buffers. Collective.
  ///
  /// - Parameters:
  ///   - task: What is trained.
  ///   - plan: The steps, and how they are cut.
  ///   - configuration: The resolved configuration, which checkpoints keep.
  ///   - inputs: What else the run reads; checkpoints keep their records, and it goes on with the same alone.
  ///   - run: Where metrics and checkpoints go.
  ///   - communicator: The ranks.
  ///   - logger: Where messages go.
  public init(
    _ task: any TrainingTask, plan: RunPlan, configuration: String, inputs: [RunInput],
    run: RunDirectory, communicator: Communicator, logger: Logger
  ) throws {
    self.task = task
    self.plan = plan
    self.configuration = configuration
    self.inputs = inputs
    self.run = run
    self.communicator = communicator
    self.logger = logger
    checkpointClock = CheckpointClock(plan)
    step = try TrainingStep(task, plan: plan, communicator: communicator)
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
      ? TrainingProgress(from: firstStep, to: plan.lastStep, everySteps: plan.shared.logEverySteps) : nil
    checkpointClock.restart()

    var done = firstStep
    var end = TrainingStep.End()
    while done < plan.lastStep, end.signal == nil {
      var measured: Metrics
      (measured, end) = try step.advance(
        from: done, reading: loader, isCheckpointOverdue: communicator.isRoot && checkpointClock.isOverdue)
      done += 1
      let evaluation = try task.evaluate(after: done, communicator: communicator)
      if !evaluation.isEmpty {
        let values = evaluation.map { "\($0.name) \(String(format: "%.4f", $0.value))" }
        logger.notice("step \(done): \(values.joined(separator: ", "))")
        measured.others += evaluation
      }
      try metrics?.write(measured)
      progress?.update(
        step: done, loss: measured.loss, imagesPerSecond: measured.imagesPerSecond,
        others: Array(measured.others.prefix(2)))
      let isLast = done == plan.lastStep || end.signal != nil
      if isLast || end.isCheckpointOverdue || checkpointClock.isDue(after: done) {
        try writeCheckpoint(after: done, isLast: isLast)
      }
    }
    progress?.finish()
    return Outcome(step: done, isComplete: done >= plan.steps, signal: end.signal)
  }

  // MARK: - Beginning and checkpoints

  /// Fills the flat buffers, from a checkpoint or with the initial weights, alike on all ranks.
  ///
  /// - Returns: The steps done so far.
  private func begin(from checkpoint: String?) throws -> Int {
    let loaded = try communicator.agree {
      guard let checkpoint, communicator.isRoot else { return 0 }
      let header = try Checkpoint.load(checkpoint, into: units, task: type(of: task).task)
      try header.require(sameInputsAs: inputs, of: checkpoint)
      return header.step
    }
    let done = Int(try communicator.allReduce(.max, Int64(loaded)))
    for unit in step.units {
      let optimizer = unit.optimizer
      try communicator.broadcast(unit.flat.values)
      guard done > 0 else { continue }
      try communicator.broadcast(optimizer.firstMoment)
      try communicator.broadcast(optimizer.secondMoment)
      optimizer.updates = Int(try communicator.allReduce(.max, Int64(optimizer.updates)))
    }
    let parameters = task.units.flatMap(\.parameters)
    try communicator.broadcast(parameters.filter { $0.kind == .state })
    try communicator.checkEqual(checksum: weightChecksum(parameters), what: "the weights at the start")
    return done
  }

  /// The task's units, as checkpoints hold them.
  private var units: [CheckpointUnit] {
    task.units.map {
      CheckpointUnit(name: $0.name, parameters: $0.parameters, optimizer: step.optimizer(of: $0))
    }
  }

  /// Writes a checkpoint on rank 0. A periodic one that fails is reported and tried again at the next occasion,
  /// so that a disk that is full for an hour does not end a run of weeks; the last one must succeed.
  private func writeCheckpoint(after done: Int, isLast: Bool) throws {
    let result = Result {
      guard communicator.isRoot else { return }
      let header = CheckpointHeader(
        task: type(of: task).task, step: done, epoch: done / plan.stepsPerEpoch,
        samplePosition: done % plan.stepsPerEpoch * plan.shared.training.globalBatchSize,
        updates: step.units[0].optimizer.updates, seed: plan.shared.seed, configuration: configuration,
        card: task.card,
        inputs: Dictionary(inputs.map { ($0.name, $0.record) }) { $1 })
      try run.checkpoints.save(header, units: units)
    }
    do {
      try communicator.agree(on: result)
    } catch  where !isLast {
      logger.error("the checkpoint of step \(done) failed; training goes on and will try again: \(error)")
    }
    checkpointClock.restart()
  }
}

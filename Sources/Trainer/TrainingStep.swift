import Communication
import Configuration
import Datasets
import Foundation
import Tensors
import Terminal
import Threads

/// One step of any task: micro-batches to gradients, gradients over all ranks, the guards, the units' updates, and what
/// is known about it afterwards.
public final class TrainingStep {
  /// What ranks agreed on at the end of a step.
  struct End {
    /// The signal that arrived on any of them.
    var signal: Int32?
    /// Whether rank 0 asked for a checkpoint.
    var isCheckpointOverdue = false
  }

  /// The optimized units, the model first.
  let units: [UnitStep]
  private let averages: [AveragedUnit]
  private let task: any TrainingTask
  private let plan: RunPlan
  private let communicator: Communicator

  /// Takes the task's units over into flat buffers. Collective.
  public init(_ task: any TrainingTask, plan: RunPlan, communicator: Communicator) throws {
    self.task = task
    self.plan = plan
    self.communicator = communicator
    units = try task.units.compactMap { $0 as? any OptimizedUnit }
      .map { try UnitStep($0, plan: plan, communicator: communicator) }
    averages = task.units.compactMap { $0 as? AveragedUnit }
    precondition(!units.isEmpty, "a task trains something")
    // Where the parameters lay before.
    ExecutionContext.current.memory.releaseUnused()
  }

  /// The optimizer of a unit, if it has one.
  func optimizer(of unit: any TrainableUnit) -> Optimizer? { units.first { $0.unit === unit }?.optimizer }

  /// Makes the step that follows `step` steps. Collective.
  public func advance(from step: Int, reading source: some BatchSource) throws -> Metrics {
    try advance(from: step, reading: source, isCheckpointOverdue: false).metrics
  }

  /// The same, and asks all ranks how to go on.
  func advance(
    from step: Int, reading source: some BatchSource, isCheckpointOverdue: Bool
  ) throws -> (metrics: Metrics, end: End) {
    let start = ContinuousClock.now
    let active = units.filter { $0.unit.isActive(inStep: step) }
    for average in averages where average.moment == .beforeForward { average.follow(inStep: step) }
    let gradients = try computeGradients(source, active)
    let exposedSeconds = try active.reduce(0) { $0 + (try $1.finish()) }

    var own: [Double] = [
      gradients.trouble == nil ? 0 : 1, Double(ExecutionContext.current.cancellation.signal ?? 0),
      isCheckpointOverdue ? 1 : 0,
      gradients.secondsWaited, gradients.forwardSeconds, gradients.backwardSeconds, exposedSeconds,
    ]
    for unit in active { own += [unit.lossSum, unit.weight] }
    let sums = try communicator.allReduce(.sum, own + task.metrics.take())
    if sums[0] > 0 {
      throw NonFinite.loss(step: step + 1, places: try communicator.allGather(gradients.trouble ?? ""))
    }
    let losses = active.indices.map { index in (sum: sums[7 + 2 * index], weight: sums[8 + 2 * index]) }
    let loss = losses[0].weight > 0 ? losses[0].sum / losses[0].weight : 0
    let optimizerStart = ContinuousClock.now
    var norms: [Double] = []
    let factors = active.indices.map { active[$0].gradientFactor(weight: losses[$0].weight) }
    for (unit, factor) in zip(active, factors) {
      norms.append(try unit.gradientNorm(ofStep: step, loss: loss, factor: factor))
    }
    for (index, unit) in active.enumerated() {
      unit.update(step: step, gradientNorm: norms[index], factor: factors[index])
    }
    for average in averages where average.moment == .afterUpdate { average.follow(inStep: step) }
    var measures = try task.finishStep(
      step + 1, metrics: task.metrics.with(sums[own.count...]), communicator: communicator)
    for (unit, loss) in zip(active, losses).dropFirst() where loss.weight > 0 {
      measures.append(("\(unit.unit.name)_loss", loss.sum / loss.weight))
    }
    let end = ContinuousClock.now
    let ranks = Double(communicator.size)
    let times: [NamedValue] = [
      ("data_wait_seconds", sums[3] / ranks), ("forward_seconds", sums[4] / ranks),
      ("backward_seconds", sums[5] / ranks), ("communication_exposed_seconds", sums[6] / ranks),
      ("optimizer_seconds", optimizerStart.duration(to: end) / .seconds(1)),
    ]
    measures += times

    let seconds = start.duration(to: end) / .seconds(1)
    let metrics = Metrics(
      step: step + 1, epoch: step / plan.stepsPerEpoch, loss: loss, learningRate: plan.learningRate(step),
      gradientNorm: norms.first ?? 0,
      imagesPerSecond: Double(plan.shared.training.globalBatchSize) / seconds, seconds: seconds,
      others: measures)
    let signal = sums[1] > 0 ? ExecutionContext.current.cancellation.signal ?? SIGTERM : nil
    return (metrics, End(signal: signal, isCheckpointOverdue: sums[2] > 0))
  }

  /// What this rank's micro-batches took.
  private struct Gradients {
    var secondsWaited = 0.0
    var forwardSeconds = 0.0
    var backwardSeconds = 0.0
    /// Where the loss was not finite.
    var trouble: String?
  }

  /// Adds up this rank's gradients over its micro-batches.
  private func computeGradients(_ source: some BatchSource, _ active: [UnitStep]) throws -> Gradients {
    var result = Gradients()
    for unit in active { unit.begin() }
    for index in 0..<plan.microBatches {
      guard let batch = try source.next() else { throw RunError("the loader stopped") }
      result.secondsWaited += batch.secondsWaited
      for (number, unit) in active.enumerated() {
        let start = ContinuousClock.now
        let tape = Tape(activationCheckpointing: plan.shared.training.activationCheckpointing)
        let loss: Loss
        do {
          loss = try unit.loss(of: batch, on: tape)
        } catch is NonFiniteElsewhere {
          return result
        }
        let middle = ContinuousClock.now
        guard loss.mean.item.isFinite else {
          // The other ranks are on their way to the reduction: meet them there, and end together afterwards.
          result.trouble = (number == 0 ? "" : "the \(unit.unit.name)'s, ") + place(of: batch)
          return result
        }
        unit.backward(loss, on: tape, isLastMicroBatch: index == plan.microBatches - 1)
        result.forwardSeconds += start.duration(to: middle) / .seconds(1)
        result.backwardSeconds += middle.duration(to: .now) / .seconds(1)
      }
    }
    return result
  }

  private func place(of batch: Batch) -> String {
    "rank \(communicator.rank) on \(communicator.hostname), samples \(batch.samples)"
  }
}

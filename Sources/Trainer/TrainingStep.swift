import Communication
import Datasets
import Foundation
import Layers
import Tensors
import Terminal

/// One optimizer step of any stage: micro-batches to gradients, gradients over all ranks, the guards, the
/// optimizer, and what is known about it afterwards.
public final class TrainingStep {
  /// What ranks agreed on at the end of a step.
  struct End {
    /// The signal that arrived on any of them.
    var signal: Int32?
    /// Whether rank 0 asked for a checkpoint.
    var isCheckpointOverdue = false
  }

  let flat: FlatParameters
  let optimizer: Optimizer
  let opponent: OpponentStep?
  private let recipe: any Recipe
  private let plan: RunPlan
  private let communicator: Communicator
  private let gradientSum: GradientSum

  /// Takes the recipe's model over into flat buffers. Collective.
  public init(_ recipe: any Recipe, plan: RunPlan, communicator: Communicator) throws {
    self.recipe = recipe
    self.plan = plan
    self.communicator = communicator
    flat = FlatParameters(recipe.parameters)
    optimizer = Optimizer(flat, configuration: plan.shared.optimizer) { recipe.learningRateScale(of: $0) }
    gradientSum = try GradientSum(flat, plan: plan, communicator: communicator)
    opponent = try recipe.opponent.map { try OpponentStep($0, plan: plan, communicator: communicator) }
    // Where the parameters lay before.
    MemoryPool.shared.releaseUnused()
  }

  /// Makes the step that follows `step` steps. Collective.
  public func advance(from step: Int, reading source: some BatchSource) throws -> Metrics {
    try advance(from: step, reading: source, isCheckpointOverdue: false).metrics
  }

  /// The same, and asks all ranks how to go on.
  func advance(
    from step: Int, reading source: some BatchSource, isCheckpointOverdue: Bool
  ) throws -> (metrics: Metrics, end: End) {
    let start = ContinuousClock.now
    let opponent = opponent.flatMap { $0.isActive(inStep: step) ? $0 : nil }
    let gradients = try computeGradients(source, opponent)
    let communication = try gradientSum.finish()
    let exposedSeconds = communication.exposedSeconds + (try opponent?.finish() ?? 0)

    let own = [
      gradients.loss, gradients.trouble == nil ? 0 : 1, Double(StopSignal.pending ?? 0),
      isCheckpointOverdue ? 1 : 0, gradients.secondsWaited, gradients.forwardSeconds,
      gradients.backwardSeconds, exposedSeconds,
    ]
    let sums = try communicator.allReduce(.sum, own + recipe.takeSums())
    if sums[1] > 0 {
      throw NonFiniteError.loss(step: step + 1, places: try communicator.allGather(gradients.trouble ?? ""))
    }
    let optimizerStart = ContinuousClock.now
    let norm = GradientNorm.norm(of: flat)
    guard norm.isFinite else { throw NonFiniteError.gradient(step: step + 1, loss: sums[0], in: flat) }
    let opponentNorm = try opponent?.gradientNorm(ofStep: step + 1, loss: sums[0])

    let learningRate = plan.learningRate(step)
    optimizer.update(
      learningRate: learningRate, weightDecay: plan.weightDecay(step),
      gradientScale: GradientNorm.clipFactor(norm: norm, limit: plan.shared.optimizer.clipGradientNorm))
    if let opponentNorm { opponent?.update(step: step, gradientNorm: opponentNorm) }
    var measures = try recipe.finishStep(
      step + 1, sums: Array(sums[own.count...]), communicator: communicator)
    let end = ContinuousClock.now
    let ranks = Double(communicator.size)
    measures += [
      ("data_wait_seconds", sums[4] / ranks), ("forward_seconds", sums[5] / ranks),
      ("backward_seconds", sums[6] / ranks), ("communication_exposed_seconds", sums[7] / ranks),
      ("optimizer_seconds", optimizerStart.duration(to: end) / .seconds(1)),
    ]

    let seconds = start.duration(to: end) / .seconds(1)
    let metrics = Metrics(
      step: step + 1, epoch: step / plan.stepsPerEpoch, loss: sums[0], learningRate: learningRate,
      gradientNorm: norm, imagesPerSecond: Double(plan.shared.training.globalBatchSize) / seconds,
      seconds: seconds, others: measures)
    let signal = sums[2] > 0 ? StopSignal.pending ?? SIGTERM : nil
    return (metrics, End(signal: signal, isCheckpointOverdue: sums[3] > 0))
  }

  /// What this rank's micro-batches gave.
  private struct Gradients {
    /// Its part of the global batch's mean loss.
    var loss = 0.0
    var secondsWaited = 0.0
    var forwardSeconds = 0.0
    var backwardSeconds = 0.0
    /// Where the loss was not finite.
    var trouble: String?
  }

  /// Adds up this rank's gradients over its micro-batches, handing each parameter on as its gradient is final.
  private func computeGradients(_ source: some BatchSource, _ opponent: OpponentStep?) throws -> Gradients {
    let globalBatchSize = Float(plan.shared.training.globalBatchSize)
    var result = Gradients()
    gradientSum.begin()
    opponent?.begin()
    for index in 0..<plan.microBatches {
      guard let batch = try source.next() else { throw RunError("the loader stopped") }
      result.secondsWaited += batch.secondsWaited
      let start = ContinuousClock.now
      let share = Float(batch.samples.count) / globalBatchSize
      let tape = Tape(activationCheckpointing: plan.shared.training.activationCheckpointing)
      let mean: Tensor
      do {
        mean = try recipe.loss(of: batch, on: tape)
      } catch is NonFiniteElsewhere {
        return result
      }
      result.loss += Double(mean.item) * Double(share)
      let middle = ContinuousClock.now
      result.forwardSeconds += start.duration(to: middle) / .seconds(1)
      guard mean.item.isFinite else {
        // The other ranks are on their way to the reduction: meet them there, and end together afterwards.
        result.trouble = place(of: batch)
        return result
      }
      let isLast = index == plan.microBatches - 1
      tape.backward(from: mean, scale: share) { [gradientSum] in
        gradientSum.ready($0, isLastMicroBatch: isLast)
      }
      if let opponent, try !opponent.computeGradients(share: share, isLastMicroBatch: isLast) {
        result.trouble = "the opponent's, " + place(of: batch)
        return result
      }
      result.backwardSeconds += middle.duration(to: .now) / .seconds(1)
    }
    return result
  }

  private func place(of batch: Batch) -> String {
    "rank \(communicator.rank) on \(communicator.hostname), samples \(batch.samples)"
  }
}

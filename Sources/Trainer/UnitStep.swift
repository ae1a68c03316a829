import Communication
import Configuration
import Datasets
import Tensors

/// An optimized unit in a training step: its flat buffers, its optimizer, and its gradients over micro-batches and
/// ranks.
final class UnitStep {
  let unit: any OptimizedUnit
  let flat: FlatParameters
  let optimizer: Optimizer
  private let plan: RunPlan
  private let gradientSum: GradientSum
  /// The weight of a whole global batch in which nothing is ignored. Gradients are divided by it as they are computed.
  private let nominalWeight: Double
  /// Σ mean · weight, and Σ weight, of this rank's micro-batches.
  private(set) var (lossSum, weight) = (0.0, 0.0)

  /// Takes the unit's parameters over into flat buffers. Collective.
  init(_ unit: any OptimizedUnit, plan: RunPlan, communicator: Communicator) throws {
    self.unit = unit
    self.plan = plan
    flat = FlatParameters(unit.parameters)
    optimizer = Optimizer(flat, configuration: plan.shared.optimizer) { unit.learningRateScale(of: $0) }
    gradientSum = try GradientSum(flat, plan: plan, communicator: communicator)
    nominalWeight = Double(plan.shared.training.globalBatchSize) * unit.lossWeightPerImage
  }

  /// Starts a step.
  func begin() {
    gradientSum.begin()
    (lossSum, weight) = (0, 0)
  }

  /// The loss of a micro-batch.
  func loss(of batch: Batch, on tape: Tape) throws -> Loss {
    let loss = try unit.loss(of: batch, on: tape, mode: .training)
    lossSum += loss.sum
    weight += loss.weight
    return loss
  }

  /// Adds a micro-batch's gradients, handing each parameter on as its gradient is final.
  func backward(_ loss: Loss, on tape: Tape, isLastMicroBatch: Bool) {
    tape.backward(from: loss.mean, scale: Float(loss.weight / nominalWeight)) { [gradientSum] in
      gradientSum.ready($0, isLastMicroBatch: isLastMicroBatch)
    }
  }

  /// Waits until the gradients are summed over micro-batches and ranks; the seconds waited.
  func finish() throws -> Double { try gradientSum.finish().exposedSeconds }

  /// What the summed gradients are multiplied by to be those of the mean over `weight`: 1 where nothing is ignored.
  func gradientFactor(weight: Double) -> Double { weight > 0 ? nominalWeight / weight : 0 }

  /// The norm of the gradients of a step, counted from 0, with what they are multiplied by. Throws where it is not
  /// finite.
  func gradientNorm(ofStep step: Int, loss: Double, factor: Double) throws -> Double {
    let norm = GradientNorm.norm(of: flat)
    guard norm.isFinite else {
      throw NonFinite.gradient(step: step + 1, loss: loss, in: flat)
    }
    return norm * factor
  }

  /// Makes the update of a step, counted from 0.
  func update(step: Int, gradientNorm: Double, factor: Double) {
    optimizer.update(
      learningRate: plan.learningRate(step), weightDecay: plan.weightDecay(step),
      gradientScale: factor
        * GradientNorm.clipFactor(norm: gradientNorm, limit: plan.shared.optimizer.clipGradientNorm))
  }
}

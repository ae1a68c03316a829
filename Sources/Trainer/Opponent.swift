import Communication
import Layers
import Tensors

/// A second model that is trained against a recipe's, by an optimizer of its own: the discriminator of an adversarial
/// loss.
public protocol Opponent: AnyObject {
  /// Every parameter of the model, in the order in which forward uses them.
  var parameters: [Parameter] { get }

  /// What the recipe's learning rate is multiplied by.
  var learningRateScale: Double { get }

  /// Whether it is trained in a step, counted from 0. The same on every rank.
  func isActive(inStep step: Int) -> Bool

  /// The mean loss over the images of the micro-batch whose loss the recipe has computed last.
  func loss(on tape: Tape) throws -> Tensor
}

extension Recipe {
  /// None, for most recipes.
  public var opponent: (any Opponent)? { nil }
}

/// The opponent's part of a training step: gradients of every micro-batch, summed as the recipe's own are, and an update.
final class OpponentStep {
  let flat: FlatParameters
  let optimizer: Optimizer
  private let opponent: any Opponent
  private let plan: RunPlan
  private let gradientSum: GradientSum

  /// Takes the opponent's model over into flat buffers. Collective.
  init(_ opponent: any Opponent, plan: RunPlan, communicator: Communicator) throws {
    self.opponent = opponent
    self.plan = plan
    flat = FlatParameters(opponent.parameters)
    optimizer = Optimizer(flat, configuration: plan.shared.optimizer)
    gradientSum = try GradientSum(flat, plan: plan, communicator: communicator)
  }

  /// Every parameter of the opponent.
  var parameters: [Parameter] { opponent.parameters }

  /// Whether it takes part in a step, counted from 0.
  func isActive(inStep step: Int) -> Bool { opponent.isActive(inStep: step) }

  /// Starts a step that it takes part in.
  func begin() { gradientSum.begin() }

  /// Adds the gradients of the micro-batch that the recipe has just computed.
  ///
  /// - Parameter share: The micro-batch's share of the global batch.
  /// - Returns: Whether the loss is finite.
  func computeGradients(share: Float, isLastMicroBatch: Bool) throws -> Bool {
    let tape = Tape()
    let mean = try opponent.loss(on: tape)
    guard mean.item.isFinite else { return false }
    tape.backward(from: mean, scale: share) { [gradientSum] in
      gradientSum.ready($0, isLastMicroBatch: isLastMicroBatch)
    }
    return true
  }

  /// Waits until the gradients are summed over micro-batches and ranks; the seconds waited.
  func finish() throws -> Double { try gradientSum.finish().exposedSeconds }

  /// Throws where the gradient of a step, counted from 1, is not finite; otherwise how long it is.
  func gradientNorm(ofStep step: Int, loss: Double) throws -> Double {
    let norm = GradientNorm.norm(of: flat)
    guard norm.isFinite else { throw NonFiniteError.gradient(step: step, loss: loss, in: flat) }
    return norm
  }

  /// Makes the update of a step, counted from 0.
  func update(step: Int, gradientNorm: Double) {
    optimizer.update(
      learningRate: plan.learningRate(step) * opponent.learningRateScale, weightDecay: plan.weightDecay(step),
      gradientScale: GradientNorm.clipFactor(
        norm: gradientNorm, limit: plan.shared.optimizer.clipGradientNorm))
  }
}

import Communication
import Configuration
import Datasets
import Evaluation
import Foundation
import Models
import Tensors
import Terminal
import Trainer

/// A perceptual network of one's own: MoCo v3's self-supervised training (Chen et al., 2104.02057).
///
/// A query is compared with the keys of the whole batch, and batch normalization looks at the whole batch: a rank's
/// share of it goes through in one piece.
public final class MomentumContrastRecipe: Recipe {
  public let kind = RunKind.perceptual
  public let parameters: [Parameter]
  private let model: MomentumContrast
  private let contrast: PerceptualConfiguration.Contrast
  private let plan: RunPlan
  private let evaluation: NeighborEvaluation?
  private let evaluationSteps: Int
  private let exchange: CommunicatorExchange

  private var correct = 0
  private var queries = 0

  /// The recipe of a configuration. Collective.
  ///
  /// - Parameter evaluation: What measures progress, if anything does.
  public init(
    _ configuration: PerceptualConfiguration, plan: RunPlan, evaluation: NeighborEvaluation?,
    communicator: Communicator
  ) throws {
    guard plan.microBatches == 1 else {
      let share = plan.microBatches * plan.microBatchSize
      throw RunError(
        "training.micro_batch_size is \(configuration.shared.training.microBatchSize), but a rank's share of the "
          + "batch is \(share) images and cannot be cut: the contrastive loss compares each image with all of the "
          + "step's, and batch normalization takes its statistics over them. Set it to \(share) or more; if that "
          + "takes too much memory, start more ranks or lower training.global_batch_size")
    }
    let scope = ParameterScope(seed: configuration.shared.seed)
    model = try MomentumContrast(
      configuration.architecture, hiddenWidth: configuration.contrast.hiddenWidth,
      outputWidth: configuration.contrast.outputWidth,
      temperature: Float(configuration.contrast.temperature), in: scope)
    parameters = scope.parameters
    contrast = configuration.contrast
    self.plan = plan
    self.evaluation = evaluation
    evaluationSteps = max(
      1, configuration.evaluation.every?.steps(perEpoch: plan.stepsPerEpoch) ?? plan.steps)
    exchange = try CommunicatorExchange(communicator)
  }

  public func loss(of batch: Batch, on tape: Tape?) throws -> Tensor {
    guard let first = batch.images, let second = batch.secondImages else {
      throw RunError("the loader does not give two views")
    }
    let (loss, hits) = model(
      tape?.constant(first) ?? first, tape?.constant(second) ?? second,
      momentum: tape.map { _ in momentum(ofStep: batch.step) }, over: exchange)
    try exchange.check()
    correct += hits
    queries += 2 * batch.samples.count
    // Where one rank's loss is not finite all stop here: backward is a matter of all of them.
    var strays = loss.item.isFinite ? 0.0 : 1.0
    exchange.sum(&strays, count: 1)
    try exchange.check()
    guard strays == 0 || !loss.item.isFinite else { throw NonFiniteElsewhere() }
    return loss
  }

  /// The momentum of a step, counted from 0: along a cosine from the first value to the last (section 4.1).
  func momentum(ofStep step: Int) -> Double {
    let way = (1 - cos(Double.pi * Double(step) / Double(plan.steps))) / 2
    return contrast.momentum + (contrast.momentumEnd - contrast.momentum) * way
  }

  public func takeSums() -> [Double] {
    defer { (correct, queries) = (0, 0) }
    return [Double(correct), Double(queries)]
  }

  public func finishStep(
    _ step: Int, sums: [Double], communicator: Communicator
  ) throws -> [(name: String, value: Double)] {
    try exchange.check()
    return [
      ("contrast_accuracy", sums[0] / max(sums[1], 1)), ("momentum", momentum(ofStep: step - 1)),
    ]
  }

  public func evaluate(
    after step: Int, communicator: Communicator
  ) throws -> [(name: String, value: Double)] {
    guard let evaluation, step % evaluationSteps == 0 || step == plan.steps else { return [] }
    let start = ContinuousClock.now
    // Who waits for the run to leave does not wait for this.
    let accuracy = try evaluation.accuracy(
      of: { model.encoder.classTokens($0) }, communicator: communicator,
      unless: { step != plan.steps && StopSignal.pending != nil })
    guard let accuracy else { return [] }
    return [("knn_accuracy", accuracy), ("evaluation_seconds", start.duration(to: .now) / .seconds(1))]
  }
}

import Communication
import Configuration
import Datasets
import Evaluation
import Foundation
import Models
import Tensors
import Terminal
import Threads
import Trainer

/// A perceptual network of one's own: MoCo v3's self-supervised training (Chen et al., 2104.02057).
///
/// A query is compared with the keys of the whole batch, and batch normalization looks at the whole batch: a rank's
/// share of it goes through in one piece.
public final class MomentumContrastTask: TrainingTask, OptimizedUnit {
  public static let task = "momentum_contrast"
  public static let headlines = ["knn_accuracy"]
  public let name = CheckpointUnit.model
  public let parameters: [Parameter]
  public let card: Card?
  private let model: MomentumContrast
  private let contrast: PerceptualConfiguration.Contrast
  private let plan: RunPlan
  private let evaluation: NeighborEvaluation?
  private let evaluationSteps: Int
  private let exchange: CommunicatorExchange

  private let momentumEncoder: AveragedUnit
  public var metrics = MetricSums(["contrast_accuracy"])

  /// The task of a configuration. Collective.
  ///
  /// - Parameters:
  ///   - configuration: Of the task.
  ///   - plan: The steps of the run, over which the momentum grows.
  ///   - evaluation: What measures progress, if anything does.
  ///   - communicator: The ranks, which exchange keys.
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
    let momentumScope = ParameterScope(seed: configuration.shared.seed).untrained
    model = try MomentumContrast(
      configuration.architecture, hiddenWidth: configuration.contrast.hiddenWidth,
      outputWidth: configuration.contrast.outputWidth,
      temperature: Float(configuration.contrast.temperature), in: scope, momentumEncoderIn: momentumScope)
    parameters = scope.parameters
    card = .transformer(
      ModelCard(
        .init(configuration.architecture, norm: .tokens), .init(configuration.shared.data)))
    let (contrast, steps) = (configuration.contrast, plan.steps)
    self.contrast = contrast
    momentumEncoder = AveragedUnit(
      name: "momentum_encoder", parameters: momentumScope.parameters, pairs: model.followers,
      moment: .beforeForward
    ) { contrast.momentum(inStep: $0, of: steps) }
    self.plan = plan
    self.evaluation = evaluation
    evaluationSteps = max(
      1, configuration.evaluation.every?.steps(perEpoch: plan.stepsPerEpoch) ?? plan.steps)
    exchange = try CommunicatorExchange(communicator)
  }

  public var units: [any TrainableUnit] { [self, momentumEncoder] }

  public func loss(of batch: Batch, on tape: Tape?, mode: Mode) throws -> Loss {
    let (first, second) = (try batch.requiredImages, try batch.requiredSecondImages)
    let (loss, hits) = model(
      tape?.constant(first) ?? first, tape?.constant(second) ?? second, mode: mode, over: exchange)
    try exchange.check()
    metrics.add("contrast_accuracy", sum: Double(hits), weight: Double(2 * batch.samples.count))
    // Where one rank's loss is not finite all stop here: backward is a matter of all of them.
    let strays = exchange.ranks(where: !loss.item.isFinite)
    try exchange.check()
    guard strays == 0 || !loss.item.isFinite else { throw NonFiniteElsewhere() }
    return Loss(mean: loss, weight: Double(batch.count))
  }

  public func finishStep(
    _ step: Int, metrics: MetricSums, communicator: Communicator
  ) throws -> [NamedValue] {
    try exchange.check()
    return [
      ("contrast_accuracy", metrics.mean("contrast_accuracy") ?? 0),
      ("momentum", contrast.momentum(inStep: step - 1, of: plan.steps)),
    ]
  }

  public func evaluate(
    after step: Int, communicator: Communicator
  ) throws -> [NamedValue] {
    guard let evaluation, step % evaluationSteps == 0 || step == plan.steps else { return [] }
    let start = ContinuousClock.now
    // Who waits for the run to leave does not wait for this.
    let accuracy = try evaluation.accuracy(
      of: { model.encoder.classTokens($0) }, communicator: communicator,
      unless: { step != plan.steps && ExecutionContext.current.cancellation.isCancelled })
    guard let accuracy else { return [] }
    return [("knn_accuracy", accuracy), ("evaluation_seconds", start.duration(to: .now) / .seconds(1))]
  }
}

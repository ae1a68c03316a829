import Communication
import Configuration
import Datasets
import Evaluation
import Interoperability
import Layers
import Models
import Operations
import Tensors
import Threads
import Trainer

/// Classification of images (PeCo, section 4; BEiT, section 2.6).
public final class ClassificationTask: TrainingTask, OptimizedUnit {
  public static let task = "classification"
  public static let headlines = ["accuracy", "evaluation_top1", "evaluation_top5", "evaluation_loss"]
  public let name = CheckpointUnit.model
  public let parameters: [Parameter]
  private let model: ClassificationModel
  /// The exponential moving average of the weights, where one is kept.
  private let average: AveragedUnit?
  public var metrics = MetricSums(["accuracy"])
  private let configuration: FinetuneConfiguration
  public let card: Card?
  private let layerDecay: LayerDecay
  private let evaluation: ClassificationData?
  /// When the model is evaluated; set before training begins.
  var evaluationSteps = EvaluationSteps(every: 1, last: 0)

  /// After which steps.
  struct EvaluationSteps {
    /// Steps from one to the next; may be broken.
    var every: Double
    var last: Int

    func contains(_ step: Int) -> Bool {
      step == last || Int(Double(step) / every) > Int(Double(step - 1) / every)
    }
  }

  /// The task of a configuration for images of classes of these names, evaluated on nothing.
  ///
  /// - Parameters:
  ///   - configuration: Model, changes to images and optimizer.
  ///   - classes: The classes' names.
  ///   - fill: Fills the parameters with pretrained weights.
  public convenience init(
    _ configuration: FinetuneConfiguration, classes: [String], fill: ([Parameter]) throws -> Void
  ) throws {
    try self.init(configuration, classes: classes, evaluation: nil, fill: fill)
  }

  /// The task of a configuration for images of classes of these names.
  ///
  /// - Parameters:
  ///   - fill: Fills the parameters with pretrained weights.
  ///   - evaluation: Images to be classified meanwhile.
  init(
    _ configuration: FinetuneConfiguration, classes: [String], evaluation: ClassificationData?,
    fill: ([Parameter]) throws -> Void
  ) throws {
    let scope = ParameterScope(seed: configuration.shared.seed)
    model = try ClassificationModel(
      configuration.architecture, classes: classes.count, pooling: configuration.model.pooling, in: scope)
    parameters = scope.parameters
    try fill(parameters)
    average = configuration.averageDecay.map { decay in
      AveragedUnit(name: TransformerWeights.average, of: scope.parameters, moment: .afterUpdate) { _ in decay
      }
    }
    layerDecay = LayerDecay(decay: configuration.layerDecay, depth: configuration.architecture.depth)
    self.configuration = configuration
    card = .transformer(
      ModelCard(
        ModelCard.Architecture(
          configuration.architecture, norm: configuration.model.pooling.norm,
          head: .init(.classes, outputs: classes.count)),
        .init(configuration.shared.data, resize: configuration.evaluation.resize), classes: classes))
    self.evaluation = evaluation
  }

  public func learningRateScale(of parameter: Parameter) -> Double { layerDecay.scale(of: parameter) }

  public var units: [any TrainableUnit] { [self] + (average.map { [$0] } ?? []) }

  public func loss(of batch: Batch, on tape: Tape?, mode: Mode) throws -> Loss {
    var images = try batch.requiredImages
    var shares: [Float]?
    if mode == .training, let mixup = configuration.mixup {
      (images, shares) = mixup(images, step: batch.step, samples: batch.samples)
    }
    let depth =
      mode == .training
      ? StochasticDepth(seed: configuration.shared.seed, step: batch.step, samples: batch.samples) : nil
    let logits = model(tape?.constant(images) ?? images, depth: depth)
    let targets = Mixup.targets(
      labels: batch.labels, shares: shares, classes: logits.shape[1],
      smoothing: mode == .training ? Float(configuration.changes.labelSmoothing) : 0)
    // Of a mixed image the class of its greater part counts.
    let main = batch.labels.indices.map { batch.labels[(shares?[$0] ?? 1) < 0.5 ? $0 ^ 1 : $0] }
    var score = ClassificationScore()
    score.add(logits.detached, labels: main)
    metrics.add("accuracy", sum: Double(score.first), weight: Double(score.images))
    return Loss(mean: softCrossEntropy(logits, targets), weight: Double(batch.count))
  }

  public func finishStep(
    _ step: Int, metrics: MetricSums, communicator: Communicator
  ) throws -> [NamedValue] {
    [("accuracy", metrics.mean("accuracy") ?? 0)]
  }

  public func evaluate(after step: Int, communicator: Communicator) throws -> [NamedValue] {
    guard let evaluation, evaluationSteps.contains(step) else { return [] }
    // Who waits for the run to leave does not wait for this; the last step's score is what the run was for.
    let isCancelled = {
      step != self.evaluationSteps.last && ExecutionContext.current.cancellation.isCancelled
    }
    guard let score = try evaluation.score(communicator: communicator, unless: isCancelled, { model($0) })
    else { return [] }
    var measures = [
      ("evaluation_top1", score.top1), ("evaluation_top5", score.top5), ("evaluation_loss", score.loss),
    ]
    guard let average else { return measures }
    let averaged = try average.exchanged {
      try evaluation.score(communicator: communicator, unless: isCancelled) { model($0) }
    }
    guard let averaged else { return measures }
    measures += [
      ("ema_evaluation_top1", averaged.top1), ("ema_evaluation_top5", averaged.top5),
      ("ema_evaluation_loss", averaged.loss),
    ]
    return measures
  }
}

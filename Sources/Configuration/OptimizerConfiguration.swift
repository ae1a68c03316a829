/// `optimizer.*`: how parameters follow their gradients.
public struct OptimizerConfiguration: Sendable, Equatable {
  /// Which rule updates the parameters.
  public enum Name: String, Sendable, CaseIterable {
    /// Adam with decoupled weight decay (Loshchilov and Hutter, 2019).
    case adamw
    /// Adam (Kingma and Ba, 2015); weight decay is added to the gradient.
    case adam
  }

  /// How the learning rate goes on after the warm-up.
  public enum Shape: String, Sendable, CaseIterable {
    case cosine, constant, linear
  }

  public var name = Name.adamw
  /// Peak learning rate, before scaling by the batch.
  public var learningRate = 1.5e-3
  /// Decay of the first and of the second moment.
  public var betas = [0.9, 0.999]
  /// Added to the root of the second moment.
  public var epsilon = 1e-8
  public var weightDecay = 0.05
  /// Weight decay at the end, reached along a cosine; nil keeps it as it is.
  public var weightDecayEnd: Double?
  /// How long the learning rate rises in a line.
  public var warmup = TrainingSpan.epochs(0)
  /// Learning rate at the first step of the warm-up.
  public var warmupLearningRate = 0.0
  /// Learning rate at the end of the run.
  public var minimumLearningRate = 0.0
  public var schedule = Shape.cosine
  /// Longest gradient allowed; longer ones are scaled down to it. Nil leaves gradients as they are.
  public var clipGradientNorm: Double?
  /// The batch size that `learningRate` is meant for: the peak is multiplied by batch / base. Nil: not scaled.
  public var scaleLearningRateByBatch: Int?

  /// The defaults.
  public init() {}

  init(_ reader: ConfigurationReader, defaults: OptimizerConfiguration) {
    name = reader.value("optimizer.name", .choice(), default: defaults.name)
    learningRate = reader.value(
      "optimizer.learning_rate", .double(.atLeast(0)), default: defaults.learningRate)
    scaleLearningRateByBatch = reader.optional(
      "optimizer.scale_learning_rate_by_batch", .int(.atLeast(1)),
      default: defaults.scaleLearningRateByBatch)
    schedule = reader.value("optimizer.schedule", .choice(), default: defaults.schedule)
    warmup =
      TrainingSpan.read(
        reader, steps: "optimizer.warmup_steps", epochs: "optimizer.warmup_epochs", least: 0,
        default: defaults.warmup) ?? defaults.warmup
    warmupLearningRate = reader.value(
      "optimizer.warmup_learning_rate", .double(.atLeast(0)), default: defaults.warmupLearningRate)
    minimumLearningRate = reader.value(
      "optimizer.minimum_learning_rate", .double(.atLeast(0)), default: defaults.minimumLearningRate)
    betas = reader.value(
      "optimizer.betas", .list(of: .double(.from(0, below: 1)), count: 2), default: defaults.betas)
    epsilon = reader.value("optimizer.epsilon", .double(.above(0)), default: defaults.epsilon)
    weightDecay = reader.value(
      "optimizer.weight_decay", .double(.atLeast(0)), default: defaults.weightDecay)
    weightDecayEnd = reader.optional(
      "optimizer.weight_decay_end", .double(.atLeast(0)), default: defaults.weightDecayEnd)
    clipGradientNorm = reader.optional(
      "optimizer.clip_gradient_norm", .double(.above(0)), default: defaults.clipGradientNorm)
    requireEffects(reader)
  }

  private func requireEffects(_ reader: ConfigurationReader) {
    reader.requireEffect(
      of: ["optimizer.minimum_learning_rate"], schedule != .constant,
      needed: "an optimizer.schedule other than constant")
    reader.requireEffect(
      of: ["optimizer.warmup_learning_rate"], ![.steps(0), .epochs(0)].contains(warmup),
      needed: "optimizer.warmup_steps or warmup_epochs above 0")
    // They differ in what becomes of weight decay, and in nothing else.
    reader.requireEffect(
      of: ["optimizer.name"], weightDecay > 0 || weightDecayEnd ?? 0 > 0,
      needed: "optimizer.weight_decay above 0")
  }

  /// The peak learning rate at a batch size.
  public func peakLearningRate(globalBatchSize: Int) -> Double {
    guard let base = scaleLearningRateByBatch else { return learningRate }
    return learningRate * Double(globalBatchSize) / Double(base)
  }
}

import Communication
import Configuration
import Datasets
import Evaluation
import Interoperability
import Layers
import Models
import Tensors
import Terminal
import Trainer

/// Classification of images (PeCo, section 4; BEiT, section 2.6).
final class FinetuneRecipe: Recipe {
  let kind = RunKind.finetune
  let parameters: [Parameter]
  private let model: ClassificationModel
  private let trained: [Parameter]
  /// Moving averages of the trained parameters, one for each or none at all.
  private let averages: [Parameter]
  private let configuration: FinetuneConfiguration
  let classes: [String]?
  private let layerDecay: LayerDecay
  private let evaluation: ClassificationData?
  /// When the model is evaluated; set before training begins.
  var evaluationSteps = EvaluationSteps(every: 1, last: 0)

  private var correct = 0
  private var images = 0

  /// After which steps.
  struct EvaluationSteps {
    /// Steps from one to the next; may be broken.
    var every: Double
    var last: Int

    func contains(_ step: Int) -> Bool {
      step == last || Int(Double(step) / every) > Int(Double(step - 1) / every)
    }
  }

  /// The recipe of a configuration for images of classes of these names.
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
    trained = scope.parameters
    try fill(trained)
    if configuration.averageDecay != nil {
      averages = trained.map { parameter in
        let average = scope.state(
          TransformerWeights.averagePrefix + parameter.name, parameter.shape, .zeros)
        average.value.copyElements(from: parameter.value)
        return average
      }
    } else {
      averages = []
    }
    parameters = scope.parameters
    layerDecay = LayerDecay(decay: configuration.layerDecay, depth: configuration.architecture.depth)
    self.configuration = configuration
    self.classes = classes
    self.evaluation = evaluation
  }

  func learningRateScale(of parameter: Parameter) -> Double { layerDecay.scale(of: parameter.name) }

  func loss(of batch: Batch, on tape: Tape?) throws -> Tensor {
    guard var images = batch.images else { throw RunError("the loader gives no images") }
    var shares: [Float]?
    if tape != nil, let mixup = configuration.mixup {
      (images, shares) = mixup(images, step: batch.step, samples: batch.samples)
    }
    let depth = tape.map { _ in
      StochasticDepth(seed: configuration.shared.seed, step: batch.step, samples: batch.samples)
    }
    let logits = model(tape?.constant(images) ?? images, depth: depth)
    let targets = Mixup.targets(
      labels: batch.labels, shares: shares, classes: logits.shape[1],
      smoothing: tape == nil ? 0 : Float(configuration.changes.labelSmoothing))
    // Of a mixed image the class of its greater part counts.
    let main = batch.labels.indices.map { batch.labels[(shares?[$0] ?? 1) < 0.5 ? $0 ^ 1 : $0] }
    var score = ClassificationScore()
    score.add(logits.detached, labels: main)
    correct += score.first
    self.images += score.images
    return softCrossEntropy(logits, targets)
  }

  func takeSums() -> [Double] {
    defer { (correct, images) = (0, 0) }
    return [Double(correct), Double(images)]
  }

  func finishStep(
    _ step: Int, sums: [Double], communicator: Communicator
  ) throws -> [(name: String, value: Double)] {
    if let decay = configuration.averageDecay { updateAverages(decay: Float(decay)) }
    return [("accuracy", sums[0] / max(sums[1], 1))]
  }

  private func updateAverages(decay: Float) {
    for (average, parameter) in zip(averages, trained) {
      let (mean, value) = (average.value.pointer, parameter.value.pointer)
      ThreadPool.shared.forEachRange(of: average.count, grain: 1 << 15) { range in
        for i in range { mean[i] = decay * mean[i] + (1 - decay) * value[i] }
      }
    }
  }

  func evaluate(after step: Int, communicator: Communicator) throws -> [(name: String, value: Double)] {
    guard let evaluation, evaluationSteps.contains(step) else { return [] }
    // Who waits for the run to leave does not wait for this; the last step's score is what the run was for.
    let isCancelled = { step != self.evaluationSteps.last && StopSignal.pending != nil }
    guard let score = try evaluation.score(communicator: communicator, unless: isCancelled, { model($0) })
    else { return [] }
    var measures = [
      ("evaluation_top1", score.top1), ("evaluation_top5", score.top5), ("evaluation_loss", score.loss),
    ]
    guard !averages.isEmpty else { return measures }
    exchangeWithAverages()
    defer { exchangeWithAverages() }
    guard let averaged = try evaluation.score(communicator: communicator, unless: isCancelled, { model($0) })
    else { return measures }
    measures += [
      ("ema_evaluation_top1", averaged.top1), ("ema_evaluation_top5", averaged.top5),
      ("ema_evaluation_loss", averaged.loss),
    ]
    return measures
  }

  /// Puts the averages in the parameters' place, and back.
  private func exchangeWithAverages() {
    for (average, parameter) in zip(averages, trained) {
      let (mean, value) = (average.value.pointer, parameter.value.pointer)
      ThreadPool.shared.forEachRange(of: average.count, grain: 1 << 15) { range in
        for i in range { (mean[i], value[i]) = (value[i], mean[i]) }
      }
    }
  }
}

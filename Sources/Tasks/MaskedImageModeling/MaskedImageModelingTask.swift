import Communication
import Configuration
import Datasets
import ImageOperations
import Layers
import Models
import Operations
import Tensors
import Trainer

/// Where the tokens at masked positions come from.
public enum TokenSource {
  /// A file that `peco tokenizer encode` wrote; the loader reads it.
  case file
  /// A trained tokenizer, run on the tokenizer's view of every image.
  case tokenizer(any Tokenizer)
}

/// Stage 2: masked image modeling (PeCo, section 3.3; BEiT, section 2.3), on tokens or, as an ablation, on pixels.
public final class MaskedImageModelingTask: TrainingTask, OptimizedUnit {
  /// What is predicted.
  private enum Target {
    case tokens(TokenSource)
    case pixels
  }

  public static let task = "masked_image_modeling"
  public static let headlines = ["accuracy"]
  public let name = CheckpointUnit.model
  public let parameters: [Parameter]
  public var metrics: MetricSums
  public let lossWeightPerImage: Double
  public let card: Card?
  private let model: MaskedImageModel
  private let target: Target
  private let settings: PretrainConfiguration.Target
  private let seed: UInt64

  /// The task of a configuration, predicting tokens of a codebook of `vocabulary`.
  public convenience init(_ configuration: PretrainConfiguration, tokens: TokenSource, vocabulary: Int) throws
  {
    try self.init(
      configuration, .tokens(vocabulary: vocabulary), .tokens(tokens),
      MetricSums(["accuracy"], histograms: [("tokens", vocabulary)]))
  }

  /// The task of a configuration, predicting pixels.
  public convenience init(predictingPixels configuration: PretrainConfiguration) throws {
    try self.init(
      configuration, .pixels, .pixels, MetricSums(["squared_error", "pixel", "squared_pixel"]))
  }

  private init(
    _ configuration: PretrainConfiguration, _ predicted: MaskedImageModel.Target, _ target: Target,
    _ metrics: MetricSums
  ) throws {
    let scope = ParameterScope(seed: configuration.shared.seed)
    model = try MaskedImageModel(configuration.architecture, predicting: predicted, in: scope)
    parameters = scope.parameters
    let outputs = model.head.weight.shape[0]
    card = .transformer(
      ModelCard(
        .init(
          configuration.architecture, norm: .tokens, hasMaskToken: true,
          head: .init(predicted == .pixels ? .pixels : .tokens, outputs: outputs)),
        .init(configuration.shared.data),
        pretraining: predicted == .pixels ? nil : configuration.pretraining))
    self.target = target
    self.metrics = metrics
    settings = configuration.target
    seed = configuration.shared.seed
    let patches = configuration.grid * configuration.grid
    lossWeightPerImage = Double(
      settings.positions == .masked ? configuration.masking.count(of: patches) : patches)
  }

  public var units: [any TrainableUnit] { [self] }

  public func loss(of batch: Batch, on tape: Tape?, mode: Mode) throws -> Loss {
    let images = try batch.requiredImages
    let architecture = model.backbone.configuration
    let predicted =
      settings.positions == .masked
      ? batch.masked : (0..<batch.count * architecture.patches).map { Int32($0) }
    let depth =
      mode == .training ? StochasticDepth(seed: seed, step: batch.step, samples: batch.samples) : nil
    func predict() -> Tensor {
      model(
        tape?.constant(images) ?? images, masked: batch.masked, predicted: predicted, depth: depth)
    }
    let mean: Tensor
    switch target {
    case .tokens(let source):
      let tokens = try tokens(of: batch, from: source)
      let logits = predict()
      let hits: Int
      (mean, hits) = crossEntropy(logits, predicted.map { tokens[Int($0)] })
      let correct = settings.positions == .masked ? hits : maskedHits(logits, tokens, batch.masked)
      metrics.add("accuracy", sum: Double(correct), weight: Double(batch.masked.count))
      metrics.count(batch.masked.map { tokens[Int($0)] }, in: "tokens")
    case .pixels:
      let pixels = patchPixels(
        images, patchSize: architecture.patchSize, patches: predicted, normalized: settings.normalize)
      let found = predict()
      mean = meanSquaredError(found, pixels)
      if settings.positions == .masked {
        add(pixels, meanSquaredError: Double(mean.item))
      } else {
        let masked = batch.masked.map { Int($0) }
        let wanted = gatherRows(pixels, masked)
        add(
          wanted, meanSquaredError: Double(meanSquaredError(gatherRows(found.detached, masked), wanted).item))
      }
    }
    return Loss(mean: mean, weight: Double(predicted.count))
  }

  /// How many tokens at masked patches are predicted, out of the logits of all patches.
  private func maskedHits(_ logits: Tensor, _ tokens: [Int32], _ masked: [Int32]) -> Int {
    let guesses = argmax(gatherRows(logits.detached, masked.map { Int($0) }))
    return zip(guesses, masked).count { $0 == tokens[Int($1)] }
  }

  /// The tokens at all patches, [batch · patches].
  private func tokens(of batch: Batch, from source: TokenSource) throws -> [Int32] {
    switch source {
    case .file: try batch.requiredTokens
    case .tokenizer(let tokenizer): tokenizer.tokens(try batch.requiredTokenizerImages)
    }
  }

  /// Adds what is known of pixels at masked patches.
  private func add(_ target: Tensor, meanSquaredError: Double) {
    let values = target.elements
    let count = Double(values.count)
    metrics.add("squared_error", mean: meanSquaredError, weight: count)
    metrics.add("pixel", sum: values.reduce(0) { $0 + Double($1) }, weight: count)
    metrics.add("squared_pixel", sum: values.reduce(0) { $0 + Double($1) * Double($1) }, weight: count)
  }

  public func finishStep(
    _ step: Int, metrics: MetricSums, communicator: Communicator
  ) throws -> [NamedValue] {
    switch target {
    case .tokens:
      let counts = metrics.histogram("tokens")
      return [
        ("accuracy", metrics.mean("accuracy") ?? 0),
        // What always guessing the step's most frequent token would score.
        ("most_frequent_token_share", (counts.max() ?? 0) / max(counts.reduce(0, +), 1)),
      ]
    case .pixels:
      let sum = metrics.sum("pixel")
      let spread = metrics.sum("squared_pixel") - sum * sum / max(metrics.weight("pixel"), 1)
      return [
        ("explained_variance", 1 - metrics.sum("squared_error") / max(spread, .leastNormalMagnitude))
      ]
    }
  }
}

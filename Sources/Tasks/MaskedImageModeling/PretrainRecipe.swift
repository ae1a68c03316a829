import Communication
import Configuration
import Datasets
import Layers
import Models
import Tensors
import Terminal
import Trainer

/// Where the tokens at masked positions come from.
public enum TokenSource {
  /// A file that `peco tokenizer encode` wrote; the loader reads it.
  case file
  /// A trained tokenizer, run on the tokenizer's view of every image.
  case tokenizer(any Tokenizer)
}

/// Stage 2: masked image modeling (PeCo, section 3.3; BEiT, section 2.3), on tokens or, as an ablation, on pixels.
public final class PretrainRecipe: Recipe {
  /// What is predicted, and what was counted of it.
  private enum Target {
    case tokens(TokenSource, TokenCounts)
    case pixels(PixelSums)
  }

  public let kind = RunKind.pretrain
  public let parameters: [Parameter]
  private let model: MaskedImageModel
  private var target: Target
  private let settings: PretrainConfiguration.Target
  private let seed: UInt64

  /// The recipe of a configuration, predicting tokens of a codebook of `vocabulary`.
  public convenience init(_ configuration: PretrainConfiguration, tokens: TokenSource, vocabulary: Int) throws
  {
    try self.init(
      configuration, .tokens(vocabulary: vocabulary),
      .tokens(tokens, TokenCounts(histogram: [Double](repeating: 0, count: vocabulary))))
  }

  /// The recipe of a configuration, predicting pixels.
  public convenience init(predictingPixels configuration: PretrainConfiguration) throws {
    try self.init(configuration, .pixels, .pixels(PixelSums()))
  }

  private init(
    _ configuration: PretrainConfiguration, _ predicted: MaskedImageModel.Target, _ target: Target
  ) throws {
    let scope = ParameterScope(seed: configuration.shared.seed)
    model = try MaskedImageModel(configuration.architecture, predicting: predicted, in: scope)
    parameters = scope.parameters
    self.target = target
    settings = configuration.target
    seed = configuration.shared.seed
  }

  public func loss(of batch: Batch, on tape: Tape?) throws -> Tensor {
    guard let images = batch.images else {
      throw RunError("the loader gives no view for the transformer")
    }
    let architecture = model.backbone.configuration
    let predicted =
      settings.positions == .masked
      ? batch.masked : (0..<batch.count * architecture.patches).map { Int32($0) }
    let depth = tape.map { _ in StochasticDepth(seed: seed, step: batch.step, samples: batch.samples) }
    func predict() -> Tensor {
      model(
        tape?.constant(images) ?? images, masked: batch.masked, predicted: predicted, depth: depth)
    }
    switch target {
    case .tokens(let source, var counts):
      let tokens = try tokens(of: batch, from: source)
      let logits = predict()
      let (loss, hits) = crossEntropy(logits, predicted.map { tokens[Int($0)] })
      counts.add(
        tokens: batch.masked.map { tokens[Int($0)] },
        correct: settings.positions == .masked ? hits : maskedHits(logits, tokens, batch.masked))
      target = .tokens(source, counts)
      return loss
    case .pixels(var sums):
      let pixels = patchPixels(
        images, patchSize: architecture.patchSize, patches: predicted, normalized: settings.normalize)
      let found = predict()
      let loss = meanSquaredError(found, pixels)
      if settings.positions == .masked {
        sums.add(pixels, meanSquaredError: Double(loss.item))
      } else {
        let masked = batch.masked.map { Int($0) }
        let wanted = gatherRows(pixels, masked)
        sums.add(
          wanted, meanSquaredError: Double(meanSquaredError(gatherRows(found.detached, masked), wanted).item))
      }
      target = .pixels(sums)
      return loss
    }
  }

  /// How many tokens at masked patches are predicted, out of the logits of all patches.
  private func maskedHits(_ logits: Tensor, _ tokens: [Int32], _ masked: [Int32]) -> Int {
    let guesses = argmax(gatherRows(logits.detached, masked.map { Int($0) }))
    return zip(guesses, masked).count { $0 == tokens[Int($1)] }
  }

  /// The tokens at all patches, [batch · patches].
  private func tokens(of batch: Batch, from source: TokenSource) throws -> [Int32] {
    switch source {
    case .file:
      guard let tokens = batch.tokens else { throw RunError("the loader gives no tokens") }
      return tokens
    case .tokenizer(let tokenizer):
      guard let view = batch.tokenizerImages else { throw RunError("the loader gives no tokenizer view") }
      return tokenizer.tokens(view)
    }
  }

  public func takeSums() -> [Double] {
    switch target {
    case .tokens(let source, let counts):
      target = .tokens(
        source, TokenCounts(histogram: [Double](repeating: 0, count: counts.histogram.count)))
      return [counts.correct] + counts.histogram
    case .pixels(let sums):
      target = .pixels(PixelSums())
      return [sums.squaredError, sums.sum, sums.squares, sums.count]
    }
  }

  public func finishStep(
    _ step: Int, sums: [Double], communicator: Communicator
  ) throws -> [(name: String, value: Double)] {
    switch target {
    case .tokens:
      let counts = sums[1...]
      let total = max(counts.reduce(0, +), 1)
      return [
        ("accuracy", sums[0] / total),
        // What always guessing the step's most frequent token would score.
        ("most_frequent_token_share", (counts.max() ?? 0) / total),
      ]
    case .pixels:
      let spread = sums[2] - sums[1] * sums[1] / max(sums[3], 1)
      return [("explained_variance", 1 - sums[0] / max(spread, .leastNormalMagnitude))]
    }
  }
}

/// What a step counts of predicted tokens, at masked patches.
private struct TokenCounts {
  var correct = 0.0
  /// How often each token was to be predicted.
  var histogram: [Double]

  mutating func add(tokens: [Int32], correct hits: Int) {
    correct += Double(hits)
    for token in tokens { histogram[Int(token)] += 1 }
  }
}

/// What a step sums up of predicted pixels, at masked patches.
private struct PixelSums {
  var squaredError = 0.0
  var sum = 0.0
  var squares = 0.0
  var count = 0.0

  mutating func add(_ target: Tensor, meanSquaredError: Double) {
    let values = UnsafeBufferPointer(start: target.pointer, count: target.count)
    squaredError += meanSquaredError * Double(values.count)
    for value in values {
      sum += Double(value)
      squares += Double(value) * Double(value)
    }
    count += Double(values.count)
  }
}

import Communication
import Datasets
import Layers
import Models
import Tensors

/// Where the words at masked positions come from.
public enum WordSource {
  /// A file that `peco tokenizer encode` wrote; the loader reads it.
  case file
  /// A trained tokenizer, run on the tokenizer's view of every picture.
  case tokenizer(any Tokenizer)
}

/// Stage 2: masked image modelling (PeCo, section 3.3; BEiT, section 2.3), on words or, as an ablation, on pixels.
public final class PretrainRecipe: Recipe {
  /// What is predicted, and what was counted of it.
  private enum Target {
    case words(WordSource, WordCounts)
    case pixels(PixelSums)
  }

  public let kind = RunKind.pretrain
  public let parameters: [Parameter]
  private let model: MaskedImageModel
  private var target: Target
  private let settings: PretrainConfiguration.Target
  private let seed: UInt64

  /// The recipe of a configuration, predicting words of a codebook of `vocabulary`.
  public convenience init(_ configuration: PretrainConfiguration, words: WordSource, vocabulary: Int) throws {
    try self.init(
      configuration, .words(vocabulary: vocabulary),
      .words(words, WordCounts(histogram: [Double](repeating: 0, count: vocabulary))))
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
    guard let pictures = batch.pictures else {
      throw RunError("the loader gives no view for the transformer")
    }
    let architecture = model.backbone.configuration
    let predicted =
      settings.positions == .masked
      ? batch.masked : (0..<batch.count * architecture.patches).map { Int32($0) }
    let depth = tape.map { _ in StochasticDepth(seed: seed, step: batch.step, samples: batch.samples) }
    func predict() -> Tensor {
      model(
        tape?.constant(pictures) ?? pictures, masked: batch.masked, predicted: predicted, depth: depth)
    }
    switch target {
    case .words(let source, var counts):
      let words = try words(of: batch, from: source)
      let logits = predict()
      let (loss, hits) = crossEntropy(logits, predicted.map { words[Int($0)] })
      counts.add(
        words: batch.masked.map { words[Int($0)] },
        correct: settings.positions == .masked ? hits : maskedHits(logits, words, batch.masked))
      target = .words(source, counts)
      return loss
    case .pixels(var sums):
      let pixels = patchPixels(
        pictures, patchSize: architecture.patchSize, patches: predicted, normalized: settings.normalize)
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

  /// How many words at masked patches are predicted, out of the logits of all patches.
  private func maskedHits(_ logits: Tensor, _ words: [Int32], _ masked: [Int32]) -> Int {
    let guesses = argmax(gatherRows(logits.detached, masked.map { Int($0) }))
    return zip(guesses, masked).count { $0 == words[Int($1)] }
  }

  /// The words at all patches, [batch · patches].
  private func words(of batch: Batch, from source: WordSource) throws -> [Int32] {
    switch source {
    case .file:
      guard let tokens = batch.tokens else { throw RunError("the loader gives no words") }
      return tokens
    case .tokenizer(let tokenizer):
      guard let view = batch.tokenizerPictures else { throw RunError("the loader gives no tokenizer view") }
      return tokenizer.tokens(view)
    }
  }

  public func takeSums() -> [Double] {
    switch target {
    case .words(let source, let counts):
      target = .words(
        source, WordCounts(histogram: [Double](repeating: 0, count: counts.histogram.count)))
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
    case .words:
      let counts = sums[1...]
      let total = max(counts.reduce(0, +), 1)
      return [
        ("accuracy", sums[0] / total),
        // What always guessing the step's most frequent word would score.
        ("most_frequent_word_share", (counts.max() ?? 0) / total),
      ]
    case .pixels:
      let spread = sums[2] - sums[1] * sums[1] / max(sums[3], 1)
      return [("explained_variance", 1 - sums[0] / max(spread, .leastNormalMagnitude))]
    }
  }
}

/// What a step counts of predicted words, at masked patches.
private struct WordCounts {
  var correct = 0.0
  /// How often each word was to be predicted.
  var histogram: [Double]

  mutating func add(words: [Int32], correct hits: Int) {
    correct += Double(hits)
    for word in words { histogram[Int(word)] += 1 }
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

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

/// Stage 2: masked image modelling (PeCo, section 3.3; BEiT, section 2.3).
public final class PretrainRecipe: Recipe {
  public let kind = RunKind.pretrain
  public let parameters: [Parameter]
  private let model: MaskedImageModel
  private let words: WordSource
  private let seed: UInt64
  private let vocabulary: Int

  private var correct = 0
  private var histogram: [Double]

  /// The recipe of a configuration, predicting words of a codebook of `vocabulary`.
  public init(_ configuration: PretrainConfiguration, words: WordSource, vocabulary: Int) throws {
    let scope = ParameterScope(seed: configuration.shared.seed)
    model = try MaskedImageModel(configuration.architecture, vocabulary: vocabulary, in: scope)
    parameters = scope.parameters
    self.words = words
    self.vocabulary = vocabulary
    seed = configuration.shared.seed
    histogram = [Double](repeating: 0, count: vocabulary)
  }

  public func loss(of batch: Batch, on tape: Tape?) throws -> Tensor {
    guard let pictures = batch.pictures else {
      throw RunError("the loader gives no view for the transformer")
    }
    let all = try words(of: batch)
    let targets = batch.masked.map { all[Int($0)] }
    let depth = tape.map { _ in StochasticDepth(seed: seed, step: batch.step, samples: batch.samples) }
    let logits = model(tape?.constant(pictures) ?? pictures, masked: batch.masked, depth: depth)
    let (loss, hits) = crossEntropy(logits, targets)
    correct += hits
    for word in targets { histogram[Int(word)] += 1 }
    return loss
  }

  /// The words at all patches, [batch · patches].
  private func words(of batch: Batch) throws -> [Int32] {
    switch words {
    case .file:
      guard let tokens = batch.tokens else { throw RunError("the loader gives no words") }
      return tokens
    case .tokenizer(let tokenizer):
      guard let view = batch.tokenizerPictures else { throw RunError("the loader gives no tokenizer view") }
      return tokenizer.tokens(view)
    }
  }

  public func takeSums() -> [Double] {
    defer {
      correct = 0
      for word in histogram.indices { histogram[word] = 0 }
    }
    return [Double(correct)] + histogram
  }

  public func finishStep(
    _ step: Int, sums: [Double], communicator: Communicator
  ) throws -> [(name: String, value: Double)] {
    let counts = sums[1...]
    let total = max(counts.reduce(0, +), 1)
    return [
      ("accuracy", sums[0] / total),
      // What always guessing the step's most frequent word would score.
      ("most_frequent_word_share", (counts.max() ?? 0) / total),
    ]
  }
}

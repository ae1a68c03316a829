import Communication
import Datasets
import Foundation
import Layers
import Models
import Tensors

/// Stage 1: a VQ-VAE under pixel, perceptual and commitment loss (PeCo, sections 3.1 and 3.2).
public final class TokenizerRecipe: Recipe {
  public let kind = RunKind.tokenizer
  public let parameters: [Parameter]
  /// The tokenizer.
  public let model: VQVAE
  private let perceptual: (any PerceptualNetwork)?
  private let configuration: TokenizerConfiguration

  /// This step's encoder outputs, kept if words will be revived from them at its end.
  private var encoded: [Tensor] = []
  private var sums = Sums()

  private struct Sums {
    var pixel = 0.0
    var perceptual = 0.0
    var commitment = 0.0
    var squaredError = 0.0
    var pictures = 0.0
  }

  /// The recipe of a configuration.
  ///
  /// - Parameter perceptual: The network whose features are compared; nil for a loss on pixels alone.
  public init(_ configuration: TokenizerConfiguration, perceptual: (any PerceptualNetwork)?) throws {
    let scope = ParameterScope(seed: configuration.shared.seed)
    model = try VQVAE(configuration.architecture, in: scope)
    parameters = scope.parameters
    self.perceptual = perceptual
    self.configuration = configuration
  }

  public func loss(of batch: Batch, on tape: Tape?) throws -> Tensor {
    guard let pictures = batch.tokenizerPictures else { throw RunError("the loader gives no tokenizer view") }
    let output = model(tape?.constant(pictures) ?? pictures)
    if tape != nil, revives(atStep: batch.step + 1) { encoded.append(output.encoded.detached) }

    let pixel =
      switch configuration.loss.pixel {
      case .l1: l1Loss(output.reconstruction, pictures)
      case .l2: meanSquaredError(output.reconstruction, pictures)
      }
    var terms = [
      (weight: Float(configuration.loss.pixelWeight), loss: pixel),
      (weight: Float(configuration.codebook.commitmentWeight), loss: output.commitment),
    ]
    let count = Double(batch.samples.count)
    if let perceptual {
      let distance = perceptualLoss(perceptual, output.reconstruction, pictures)
      terms.append((Float(configuration.loss.perceptualWeight), distance))
      sums.perceptual += count * Double(distance.item)
    }
    sums.pixel += count * Double(pixel.item)
    sums.commitment += count * Double(output.commitment.item)
    sums.squaredError +=
      count
      * Double(
        configuration.loss.pixel == .l2
          ? pixel.item : meanSquaredError(output.reconstruction.detached, pictures).item)
    sums.pictures += count
    return weightedSum(terms)
  }

  public func takeSums() -> [Double] {
    defer { sums = Sums() }
    return [sums.pixel, sums.perceptual, sums.commitment, sums.squaredError, sums.pictures]
  }

  public func finishStep(
    _ step: Int, sums: [Double], communicator: Communicator
  ) throws -> [(name: String, value: Double)] {
    let quantizer = model.quantizer
    try communicator.allReduce(.sum, quantizer.statistics.pointer, count: quantizer.statistics.count)
    let usage = quantizer.usage
    quantizer.update()
    var revived = 0
    if revives(atStep: step) { revived = try revive(at: step, communicator: communicator) }

    var measures: [(name: String, value: Double)] = [
      // Pixels run from -1 to 1: the peak is 2.
      ("psnr", 10 * log10(4 / max(sums[3] / sums[4], 1e-12))),
      ("codebook_perplexity", Double(usage.perplexity)), ("codebook_usage", Double(usage.usedShare)),
      ("words_revived", Double(revived)), ("pixel_loss", sums[0] / sums[4]),
      ("commitment_loss", sums[2] / sums[4]),
    ]
    if perceptual != nil { measures.append(("perceptual_loss", sums[1] / sums[4])) }
    return measures
  }

  // MARK: - Revival of dead words

  /// Whether words are replaced at the end of a step: all of them after the first, so that the codebook starts
  /// among the encoder's outputs, and later those that have fallen out of use.
  private func revives(atStep step: Int) -> Bool {
    let every = configuration.codebook.reviveEverySteps
    return every > 0 && (step == 1 || step % every == 0)
  }

  /// Replaces dead words by encoder outputs of this step, drawn from the whole global batch: the rank that
  /// computed an output contributes it to a sum over all ranks.
  private func revive(at step: Int, communicator: Communicator) throws -> Int {
    defer { encoded = [] }
    let quantizer = model.quantizer
    let length = quantizer.length
    let dead =
      step == 1
      ? Array(0..<quantizer.words)
      : quantizer.deadWords(below: Float(configuration.codebook.revivalThreshold))
    let own = encoded.reduce(0) { $0 + $1.count / length }
    let total = own * communicator.size
    let words = Array(dead.prefix(total))
    guard !words.isEmpty else { return 0 }
    var stream = RandomStream(seed: configuration.shared.seed, purpose: .revival, time: step)
    let drawn = stream.permutation(total)
    let vectors = Tensor([words.count, length])
    let first = own * communicator.rank
    for (place, position) in drawn.prefix(words.count).enumerated()
    where (first..<first + own).contains(position) {
      var row = position - first
      for outputs in encoded {
        let rows = outputs.count / length
        if row < rows {
          (vectors.pointer + place * length).update(from: outputs.pointer + row * length, count: length)
          break
        }
        row -= rows
      }
    }
    try communicator.allReduce(.sum, vectors.pointer, count: vectors.count)
    quantizer.revive(words: words, with: vectors)
    return words.count
  }
}

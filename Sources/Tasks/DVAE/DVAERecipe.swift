import Communication
import Configuration
import Datasets
import Layers
import Models
import Tensors
import Terminal
import Trainer

/// Stage 1 of BEiT: a discrete VAE under reconstruction loss and divergence from the uniform prior (Ramesh et al.,
/// 2102.12092, section 2.1), its tokens relaxed by Gumbel-softmax.
public final class DVAERecipe: Recipe {
  public let kind = RunKind.tokenizer
  public let parameters: [Parameter]
  /// The tokenizer.
  public let model: DVAE
  private var reconstructionLoss: ReconstructionLoss
  private let configuration: TokenizerConfiguration

  /// Σ of the divergence over images.
  private var divergence = 0.0
  /// How often each token was the most probable.
  private var uses: [Double]

  /// The recipe of a configuration.
  ///
  /// - Parameter perceptual: The network whose features are compared; nil for a loss on pixels alone.
  public init(_ configuration: TokenizerConfiguration, perceptual: (any PerceptualNetwork)?) throws {
    let scope = ParameterScope(seed: configuration.shared.seed)
    model = try DVAE(configuration.discreteArchitecture, in: scope)
    parameters = scope.parameters
    reconstructionLoss = ReconstructionLoss(configuration.loss, perceptual: perceptual)
    self.configuration = configuration
    uses = [Double](repeating: 0, count: model.vocabulary)
  }

  public func loss(of batch: Batch, on tape: Tape?) throws -> Tensor {
    guard let images = batch.tokenizerImages else { throw RunError("the loader gives no tokenizer view") }
    let sampling = tape.map { _ in
      let noise = GumbelNoise(seed: configuration.shared.seed, step: batch.step, samples: batch.samples)
      let grid = model.gridSize
      return DVAE.Sampling(
        noise: noise([batch.count, grid, grid, model.vocabulary]),
        temperature: Float(configuration.dvae.temperature(at: batch.step)))
    }
    let output = model(tape?.constant(images) ?? images, sampling: sampling)
    let reconstruction = reconstructionLoss(
      output.reconstruction, images,
      likelihood: { [model] in model.likelihoodLoss(output.statistics, images) })
    divergence += Double(batch.count) * Double(output.divergence.item)
    for token in output.tokens { uses[Int(token)] += 1 }
    return weightedSum(
      reconstruction + [(Float(configuration.dvae.klWeight(at: batch.step)), output.divergence)])
  }

  public func takeSums() -> [Double] {
    defer {
      divergence = 0
      for token in uses.indices { uses[token] = 0 }
    }
    return reconstructionLoss.takeSums() + [divergence] + uses
  }

  public func finishStep(
    _ step: Int, sums: [Double], communicator: Communicator
  ) throws -> [(name: String, value: Double)] {
    let own = ReconstructionLoss.sumCount
    let reconstruction = reconstructionLoss.measures(of: sums)
    let usage = CodebookUsage(counts: sums[(own + 1)...])
    return [
      ("psnr", reconstruction.psnr), ("codebook_perplexity", Double(usage.perplexity)),
      ("codebook_usage", Double(usage.usedShare)), ("kl_divergence", sums[own] / reconstruction.images),
      ("temperature", configuration.dvae.temperature(at: step - 1)),
      ("kl_weight", configuration.dvae.klWeight(at: step - 1)),
    ] + reconstruction.losses
  }
}

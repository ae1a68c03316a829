import Communication
import Configuration
import Datasets
import Layers
import Models
import Operations
import Tensors
import Terminal
import TokenizerSupport
import Trainer

/// Stage 1 of BEiT: a discrete VAE under reconstruction loss and divergence from the uniform prior (Ramesh et al.,
/// 2102.12092, section 2.1), its tokens relaxed by Gumbel-softmax.
public final class DVAETask: TrainingTask, OptimizedUnit {
  public let task = "dvae"
  public let name = CheckpointUnit.model
  public let parameters: [Parameter]
  /// The tokenizer.
  public let model: DVAE
  public var metrics: MetricSums
  private let reconstructionLoss: ReconstructionLoss
  private let configuration: TokenizerConfiguration

  /// The task of a configuration.
  ///
  /// - Parameters:
  ///   - configuration: Of the tokenizer.
  ///   - perceptual: The network whose features are compared; nil for a loss on pixels alone.
  public init(_ configuration: TokenizerConfiguration, perceptual: (any PerceptualNetwork)?) throws {
    let scope = ParameterScope(seed: configuration.shared.seed)
    model = try DVAE(configuration.discreteArchitecture, in: scope)
    parameters = scope.parameters
    metrics = MetricSums(
      ReconstructionLoss.metrics + ["kl_divergence"], histograms: [("tokens", model.vocabulary)])
    reconstructionLoss = ReconstructionLoss(configuration.loss, perceptual: perceptual)
    self.configuration = configuration
  }

  public var units: [any TrainableUnit] { [self] }

  public func loss(of batch: Batch, on tape: Tape?, mode: Mode) throws -> Loss {
    guard let images = batch.tokenizerImages else { throw RunError("the loader gives no tokenizer view") }
    let output = model(
      tape?.constant(images) ?? images, sampling: mode == .training ? sampling(of: batch) : nil)
    let reconstruction = reconstructionLoss(
      output.reconstruction, images, addingTo: &metrics,
      likelihood: { [model] in model.likelihoodLoss(output.statistics, images) })
    metrics.add("kl_divergence", mean: Double(output.divergence.item), weight: Double(batch.count))
    metrics.count(output.tokens, in: "tokens")
    let loss = weightedSum(
      reconstruction + [(Float(configuration.dvae.klWeight(at: batch.step)), output.divergence)])
    return Loss(mean: loss, weight: Double(batch.count))
  }

  /// The soft sample of tokens that a batch is trained with.
  private func sampling(of batch: Batch) -> DVAE.Sampling {
    let noise = GumbelNoise(seed: configuration.shared.seed, step: batch.step, samples: batch.samples)
    let grid = model.gridSize
    return DVAE.Sampling(
      noise: noise([batch.count, grid, grid, model.vocabulary]),
      temperature: Float(configuration.dvae.temperature(at: batch.step)))
  }

  public func finishStep(
    _ step: Int, metrics: MetricSums, communicator: Communicator
  ) throws -> [NamedValue] {
    let reconstruction = reconstructionLoss.measures(of: metrics)
    // How often each token was the most probable.
    let usage = CodebookUsage(counts: metrics.histogram("tokens"))
    return [
      ("psnr", reconstruction.psnr), ("codebook_perplexity", Double(usage.perplexity)),
      ("codebook_usage", Double(usage.usedShare)), ("kl_divergence", metrics.mean("kl_divergence") ?? 0),
      ("temperature", configuration.dvae.temperature(at: step - 1)),
      ("kl_weight", configuration.dvae.klWeight(at: step - 1)),
    ] + reconstruction.losses
  }
}

import Communication
import Configuration
import Datasets
import Layers
import Models
import Operations
import Tensors
import TokenizerSupport
import Trainer

/// Stage 1 of BEiT: a discrete VAE under reconstruction loss and divergence from the uniform prior (Ramesh et al.,
/// 2102.12092, section 2.1), its tokens relaxed by Gumbel-softmax.
public final class DVAETask: TrainingTask, OptimizedUnit {
  public static let task = DVAEFamily.kind
  public static let headlines = TokenizerSettings.headlines
  public let name = CheckpointUnit.model
  public let parameters: [Parameter]
  public let card: Card?
  /// The tokenizer.
  public let model: DVAE
  public var metrics: MetricSums
  private let reconstructionLoss: ReconstructionLoss
  private let seed: UInt64
  private let family: DVAEFamily

  /// The task of a configuration.
  ///
  /// - Parameters:
  ///   - family: What the family's keys say.
  ///   - settings: What all tokenizers' configurations say.
  ///   - perceptual: The network whose features are compared; nil for a loss on pixels alone.
  public init(
    _ family: DVAEFamily, _ settings: TokenizerSettings, perceptual: (any PerceptualNetwork)?
  ) throws {
    seed = settings.shared.seed
    self.family = family
    let scope = ParameterScope(seed: seed)
    model = try DVAE(family.architecture(settings), in: scope)
    parameters = scope.parameters
    card = .tokenizer(try family.card(settings))
    metrics = MetricSums(
      ReconstructionLoss.metrics + ["kl_divergence"], histograms: [("tokens", model.vocabulary)])
    reconstructionLoss = ReconstructionLoss(settings.loss, perceptual: perceptual)
  }

  public var units: [any TrainableUnit] { [self] }

  public func loss(of batch: Batch, on tape: Tape?, mode: Mode) throws -> Loss {
    let images = try batch.requiredTokenizerImages
    let output = model(
      tape?.constant(images) ?? images, sampling: mode == .training ? sampling(of: batch) : nil)
    let reconstruction = reconstructionLoss(
      output.reconstruction, images, addingTo: &metrics,
      likelihood: { [model] in model.likelihoodLoss(output.statistics, images) })
    metrics.add("kl_divergence", mean: Double(output.divergence.item), weight: Double(batch.count))
    metrics.count(output.tokens, in: "tokens")
    let loss = weightedSum(
      reconstruction + [(Float(family.klWeight(at: batch.step)), output.divergence)])
    return Loss(mean: loss, weight: Double(batch.count))
  }

  /// The soft sample of tokens that a batch is trained with.
  private func sampling(of batch: Batch) -> DVAE.Sampling {
    let noise = GumbelNoise(seed: seed, step: batch.step, samples: batch.samples)
    let grid = model.gridSize
    return DVAE.Sampling(
      noise: noise([batch.count, grid, grid, model.vocabulary]),
      temperature: Float(family.temperature(at: batch.step)))
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
      ("temperature", family.temperature(at: step - 1)),
      ("kl_weight", family.klWeight(at: step - 1)),
    ] + reconstruction.losses
  }
}

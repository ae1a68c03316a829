import Communication
import Configuration
import Datasets
import Layers
import Models
import Operations
import Tensors
import TokenizerSupport
import Trainer

/// Stage 1: a VQ-VAE under pixel, perceptual and commitment loss (PeCo, sections 3.1 and 3.2).
public final class VQVAETask: TrainingTask, OptimizedUnit {
  public static let task = VQVAEFamily.kind
  public static let headlines = TokenizerSettings.headlines
  public let name = CheckpointUnit.model
  public let parameters: [Parameter]
  public let card: Card?
  /// The tokenizer.
  public let model: VQVAE
  public var metrics = MetricSums(
    ReconstructionLoss.metrics + DiscriminatorUnit.metrics + ["commitment_loss", "codebook_loss"])
  private let reconstructionLoss: ReconstructionLoss
  private let discriminator: DiscriminatorUnit?
  private let seed: UInt64
  private let codebook: VQVAEFamily.Codebook

  /// This step's encoder outputs, kept if codebook entries will be revived from them at its end.
  private var encoded: [Tensor] = []

  /// The task of a configuration.
  ///
  /// - Parameters:
  ///   - family: What the family's keys say.
  ///   - settings: What all tokenizers' configurations say.
  ///   - perceptual: The network whose features are compared; nil for a loss on pixels alone.
  public init(
    _ family: VQVAEFamily, _ settings: TokenizerSettings, perceptual: (any PerceptualNetwork)?
  ) throws {
    seed = settings.shared.seed
    codebook = family.codebook
    let scope = ParameterScope(seed: seed)
    model = try VQVAE(family.architecture(settings), in: scope)
    parameters = scope.parameters
    card = .tokenizer(try family.card(settings))
    reconstructionLoss = ReconstructionLoss(settings.loss, perceptual: perceptual)
    discriminator = DiscriminatorUnit(family.adversarial, seed: seed)
  }

  public var units: [any TrainableUnit] { [self] + (discriminator.map { [$0] } ?? []) }

  public func loss(of batch: Batch, on tape: Tape?, mode: Mode) throws -> Loss {
    let images = try batch.requiredTokenizerImages
    let output = model(tape?.constant(images) ?? images, mode: mode)
    if mode == .training, revives(atStep: batch.step + 1) { encoded.append(output.encoded.detached) }

    var metrics = metrics
    var terms: [(weight: Float, loss: Tensor)]
    if let discriminator, mode == .training, discriminator.isActive(inStep: batch.step) {
      let result = discriminator.generatorLoss(of: output, drawnBy: model, images: images) {
        weightedSum(reconstructionLoss($0, images, addingTo: &metrics))
      }
      metrics.add("adversarial_loss", mean: Double(result.adversarial), weight: Double(batch.count))
      metrics.add("adversarial_weight", mean: Double(result.weight), weight: Double(batch.count))
      terms = [(1, result.total)]
    } else {
      terms = reconstructionLoss(output.reconstruction, images, addingTo: &metrics)
    }
    terms.append((Float(codebook.commitmentWeight), output.commitment))
    let count = Double(batch.count)
    metrics.add("commitment_loss", mean: Double(output.commitment.item), weight: count)
    if let loss = output.codebookLoss {
      terms.append((1, loss))
      metrics.add("codebook_loss", mean: Double(loss.item), weight: count)
    }
    self.metrics = metrics
    return Loss(mean: weightedSum(terms), weight: count)
  }

  public func finishStep(
    _ step: Int, metrics: MetricSums, communicator: Communicator
  ) throws -> [NamedValue] {
    let quantizer = model.quantizer
    try communicator.allReduce(.sum, quantizer.statistics)
    let usage = quantizer.usage
    quantizer.update()
    var revived = 0
    if revives(atStep: step) { revived = try revive(at: step, communicator: communicator) }

    let reconstruction = reconstructionLoss.measures(of: metrics)
    var values: [NamedValue] = [
      ("psnr", reconstruction.psnr), ("codebook_perplexity", Double(usage.perplexity)),
      ("codebook_usage", Double(usage.usedShare)), ("entries_revived", Double(revived)),
      ("commitment_loss", metrics.mean("commitment_loss") ?? 0),
    ]
    if let loss = metrics.mean("codebook_loss") { values.append(("codebook_loss", loss)) }
    values += reconstruction.losses
    for name in DiscriminatorUnit.metrics {
      if let value = metrics.mean(name) { values.append((name, value)) }
    }
    return values
  }

  // MARK: - Revival of dead entries

  /// Whether entries are replaced at the end of a step: all of them after the first, as far as it has encoder outputs,
  /// so that the codebook starts among these, and later those that have fallen out of use.
  private func revives(atStep step: Int) -> Bool {
    let every = codebook.reviveEverySteps
    return every > 0 && (step == 1 || step % every == 0)
  }

  /// Replaces dead entries by encoder outputs of this step, drawn from the whole global batch: the rank that computed
  /// an output contributes it to a sum over all ranks. Where outputs are fewer than dead entries, these are drawn too,
  /// and the others wait for the next time.
  private func revive(at step: Int, communicator: Communicator) throws -> Int {
    defer { encoded = [] }
    let quantizer = model.quantizer
    let length = quantizer.length
    let dead =
      step == 1
      ? Array(0..<quantizer.entries)
      : quantizer.deadEntries(below: Float(codebook.revivalThreshold))
    let own = encoded.reduce(0) { $0 + $1.count / length }
    let total = own * communicator.size
    guard total > 0, !dead.isEmpty else { return 0 }
    var stream = RandomStream(seed: seed, purpose: .revival, time: step)
    let drawn = stream.permutation(total)
    let order = total < dead.count ? stream.permutation(dead.count) : Array(dead.indices)
    let entries = order.prefix(total).map { dead[$0] }
    if step == 1 { quantizer.retire(entries: order.dropFirst(total).map { dead[$0] }) }
    let vectors = Tensor([entries.count, length])
    let first = own * communicator.rank
    for (place, position) in drawn.prefix(entries.count).enumerated()
    where (first..<first + own).contains(position) {
      var row = position - first
      for outputs in encoded {
        let rows = outputs.count / length
        if row < rows {
          vectors[row: place].copyElements(from: outputs.view(at: row * length, shape: [length]))
          break
        }
        row -= rows
      }
    }
    try communicator.allReduce(.sum, vectors)
    quantizer.revive(entries: entries, with: vectors)
    return entries.count
  }
}

import Communication
import Datasets
import Layers
import Models
import Tensors
import TestSupport
import Testing
import Trainer
import VQVAETraining

/// The discriminator of a tokenizer as a unit of the training step, on ranks in threads.
@Suite(.timeLimit(.minutes(1))) struct DiscriminatorOnRanksTests {
  private static let adversarial = [
    "adversarial={discriminator: patch, base_width: 8, layers: 2}", "codebook.revive_every_steps=0",
  ]

  private func discriminator(of task: VQVAETask) throws -> any OptimizedUnit {
    try #require(task.units.dropFirst().first as? any OptimizedUnit)
  }

  /// What a step leaves behind.
  private struct Outcome: Equatable, Sendable {
    var loss: Double
    var others: [String: Double]
    var model: [[Float]]
    var discriminator: [[Float]]
  }

  /// Some steps from the beginning, after a look at what the discriminator starts as.
  private func train(
    _ tokenizer: SmallTokenizer, ranks: Int, microBatchSize: Int = 2, steps: Int
  ) throws -> [Outcome] {
    let all = try InProcessRanks.run(ranks, threads: 1) { communicator in
      let task = try tokenizer.task()
      let (step, images) = try tokenizer.training(task, on: communicator, microBatchSize: microBatchSize)
      func outcome(_ metrics: Metrics?) -> Outcome {
        let measures = metrics?.others.filter { !$0.name.hasSuffix("_seconds") } ?? []
        return Outcome(
          loss: metrics?.loss ?? 0,
          others: Dictionary(measures.map { ($0.name, $0.value) }) { first, _ in first },
          model: task.parameters.map(\.value.elements),
          discriminator: task.units.dropFirst().flatMap { $0.parameters.map(\.value.elements) })
      }
      return try [outcome(nil)] + (0..<steps).map { outcome(try step.advance(from: $0, reading: images)) }
    }
    for (rank, outcomes) in all.enumerated() { #expect(outcomes == all[0], "rank \(rank) of \(ranks)") }
    return all[0]
  }

  @Test func itRestsUntilItsStep() throws {
    let tokenizer = try SmallTokenizer(
      Self.adversarial + ["adversarial.start_step=2", "adversarial.learning_rate_scale=0.5"])
    let plain = try SmallTokenizer(["codebook.revive_every_steps=0"])
    for ranks in [1, 2] {
      let outcomes = try train(tokenizer, ranks: ranks, steps: 3)
      let without = try train(plain, ranks: ranks, steps: 3)
      let start = outcomes[0].discriminator
      for step in 1...2 {
        #expect(outcomes[step].discriminator == start)
        #expect(outcomes[step].model == without[step].model)
        #expect(outcomes[step].others == without[step].others)
      }
      #expect(outcomes[3].model != without[3].model)
      let new = Set(outcomes[3].others.keys).subtracting(without[3].others.keys)
      #expect(new == ["adversarial_loss", "adversarial_weight", "discriminator_loss"])
      // Adam's first step is the learning rate long, times the gradient's sign, however late it comes.
      let moves = zip(start, outcomes[3].discriminator).flatMap { zip($0, $1).map { abs($0 - $1) } }
      #expect(moves.allSatisfy { $0 < 0.5e-3 + 2e-7 })
      #expect(moves.count { $0 > 0.49e-3 } > moves.count * 9 / 10)
    }
  }

  @Test func stepsAreTheSameOnAnyNumberOfRanks() throws {
    let tokenizer = try SmallTokenizer(Self.adversarial)
    let alone = try train(tokenizer, ranks: 1, steps: 3)
    for ranks in [2, 4] { #expect(try train(tokenizer, ranks: ranks, steps: 3) == alone, "\(ranks) ranks") }
    #expect(Set(alone.map(\.discriminator)).count == 4 && Set(alone.map(\.model)).count == 4)
  }

  /// Loss and summed gradient of the discriminator, and the weight of the adversarial loss, of a rank's share in
  /// one piece.
  private func firstLoss(
    ranks: Int, seesOwnShare: Bool = true
  ) throws -> [(loss: Double, weight: Double, gradients: [[Float]])] {
    let tokenizer = try SmallTokenizer(Self.adversarial)
    return try InProcessRanks.run(ranks, threads: 1) { communicator in
      let task = try tokenizer.task()
      let unit = try discriminator(of: task)
      for parameter in task.parameters + unit.parameters where parameter.kind == .trained {
        parameter.enableGradient()
      }
      let size = SmallTokenizer.images / ranks
      let first = seesOwnShare ? size * communicator.rank : 0
      let batch = SmallTokenizer.batch(step: 0, first..<first + size)
      let generator = Tape()
      generator.backward(from: try task.loss(of: batch, on: generator, mode: .training).mean)
      #expect(unit.parameters.allSatisfy { $0.gradient?.elements.allSatisfy { $0 == 0 } ?? true })
      let tape = Tape()
      let loss = try unit.loss(of: batch, on: tape, mode: .training)
      tape.backward(from: loss.mean, scale: 1 / Float(ranks))
      let gradients = try unit.parameters.compactMap { parameter in
        try parameter.gradient.map { try communicator.allReduce(.sum, $0.elements) }
      }
      let sum = try communicator.allReduce(.sum, loss.sum) / Double(SmallTokenizer.images)
      return (sum, try #require(task.metrics.mean("adversarial_weight")), gradients)
    }
  }

  @Test func lossAndGradientsAreThoseOfTheWholeBatch() throws {
    let whole = try firstLoss(ranks: 1)[0]
    let scale = whole.gradients.joined().map(abs).max() ?? 0
    #expect(scale > 1e-4)
    for ranks in [2, 4] {
      for split in try firstLoss(ranks: ranks) {
        #expect(abs(split.loss - whole.loss) < 1e-6 * whole.loss)
        let errors = zip(split.gradients.joined(), whole.gradients.joined()).map { abs($0 - $1) }
        #expect((errors.max() ?? 1) < 1e-6 * scale, "\(ranks) ranks")
      }
    }
    // By hand: hinges of the scores of images and reconstructions, by a discriminator of the same seed.
    let tokenizer = try SmallTokenizer(Self.adversarial)
    let task = try tokenizer.task()
    var size = PatchDiscriminatorConfiguration()
    (size.baseWidth, size.layers) = (8, 2)
    let scores = PatchDiscriminator(size, in: ParameterScope(seed: SmallTokenizer.seed))
    let images = try #require(SmallTokenizer.batch(step: 0, 0..<SmallTokenizer.images).tokenizerImages)
    let real = scores(images).elements.map { Double(max(1 - $0, 0)) }
    let fake = scores(task.model(images, mode: .evaluation).reconstruction).elements.map {
      Double(max(1 + $0, 0))
    }
    let expected = (real.reduce(0, +) + fake.reduce(0, +)) / Double(2 * real.count)
    #expect(abs(whole.loss - expected) < 1e-6 * expected)
  }

  /// λ is a micro-batch's own: ranks with the same images have the same, and the metric is the mean over all.
  @Test func theAdaptiveWeightIsAgreedUponAsTheMeanOverAllMicroBatches() throws {
    let own = try firstLoss(ranks: 2).map(\.weight)
    #expect(own[0] != own[1] && own.allSatisfy { $0 > 0 })
    let alike = try firstLoss(ranks: 2, seesOwnShare: false).map(\.weight)
    #expect(alike == [own[0], own[0]])
    let tokenizer = try SmallTokenizer(Self.adversarial)
    let trained = try train(tokenizer, ranks: 2, microBatchSize: 4, steps: 1)[1]
    let weight = try #require(trained.others["adversarial_weight"])
    #expect(abs(weight - (own[0] + own[1]) / 2) < 1e-12)
  }

  @Test func itsLossNeedsReconstructions() throws {
    let unit = try discriminator(of: try SmallTokenizer(Self.adversarial).task())
    #expect(throws: (any Error).self) {
      try unit.loss(of: SmallTokenizer.batch(step: 0, 0..<2), on: nil, mode: .training)
    }
  }
}

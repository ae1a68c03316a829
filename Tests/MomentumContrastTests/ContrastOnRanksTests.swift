import Communication
import Configuration
import Datasets
import Models
import MomentumContrastTraining
import Synchronization
import Tensors
import Terminal
import TestSupport
import Testing
import Trainer

/// Momentum contrast over a batch that ranks in threads share.
@Suite(.timeLimit(.minutes(1))) struct ContrastOnRanksTests {
  private static let images = 8

  private func makeModel() throws -> (model: MomentumContrast, trained: [Parameter], momentum: [Parameter]) {
    var size = VisionTransformerConfiguration()
    (size.imageSize, size.patchSize) = (16, 8)
    (size.width, size.depth, size.heads) = (8, 1, 2)
    size.layerScale = nil
    size.positions = .sinCos
    size.initialization = .xavierUniform
    let (scope, momentum) = (ParameterScope(seed: 3), ParameterScope(seed: 3).untrained)
    let model = try MomentumContrast(
      size, hiddenWidth: 16, outputWidth: 8, in: scope, momentumEncoderIn: momentum)
    // It starts at almost nothing, where layer normalization multiplies gradients, and their rounding, by a
    // thousand.
    for parameter in scope.parameters + momentum.parameters where parameter.name == "cls_token" {
      parameter.value.copyElements(from: randomTensor(parameter.shape, seed: 5))
    }
    return (model, scope.parameters, momentum.parameters)
  }

  private struct Outcome: Sendable {
    var loss: Double
    var correct: Int
    var gradients: [[Float]]
    var states: [[Float]]
  }

  /// Mean loss, hits, mean gradients and the moving statistics of a batch that ranks share.
  private func contrast(ranks: Int) throws -> Outcome {
    let images = Self.images
    let all = try InProcessRanks.run(ranks, threads: 1) { communicator in
      let (model, trained, momentum) = try makeModel()
      for parameter in trained where parameter.kind == .trained { parameter.enableGradient() }
      let exchange = try CommunicatorExchange(communicator)
      let share = images / ranks
      let samples = share * communicator.rank..<share * (communicator.rank + 1)
      let tape = Tape()
      let (loss, correct) = model(
        tape.constant(noiseImages(samples, side: 16, seed: 1)),
        tape.constant(noiseImages(samples, side: 16, seed: 2)), mode: .training,
        over: ranks > 1 ? exchange : nil)
      tape.backward(from: loss, scale: 1 / Float(ranks))
      try exchange.check()
      return Outcome(
        loss: try communicator.allReduce(.sum, Double(loss.item)) / Double(ranks),
        correct: Int(try communicator.allReduce(.sum, Double(correct))),
        gradients: try trained.compactMap { parameter in
          try parameter.gradient.map { try communicator.allReduce(.sum, $0.elements) }
        },
        states: (trained.filter { $0.kind == .state } + momentum).map(\.value.elements))
    }
    #expect(all.allSatisfy { $0.states == all[0].states })
    return all[0]
  }

  @Test func lossAndGradientsAreThoseOfTheWholeBatch() throws {
    let whole = try contrast(ranks: 1)
    func length(_ values: some Sequence<Float>) -> Double {
      values.reduce(0) { $0 + Double($1) * Double($1) }.squareRoot()
    }
    let scale = length(whole.gradients.joined())
    #expect(scale > 1e-2 && whole.loss > 0)
    for ranks in [2, 4] {
      let split = try contrast(ranks: ranks)
      #expect(abs(split.loss - whole.loss) < 1e-6 * whole.loss && split.correct == whole.correct)
      let errors = zip(split.gradients.joined(), whole.gradients.joined()).map { $0 - $1 }
      // Rounding, by the condition of so small a batch. Without the sums of all ranks the error is as long as
      // the gradient.
      #expect(length(errors) < 1e-5 * scale, "\(ranks) ranks")
      let drifts = zip(split.states.joined(), whole.states.joined()).map { abs($0 - $1) }
      #expect((drifts.max() ?? 1) < 1e-6, "\(ranks) ranks")
    }
  }

  private static func configuration() throws -> PerceptualConfiguration {
    try PerceptualConfiguration.load(
      yaml: """
        data: {path: none, image_size: 16}
        model: {width: 8, depth: 1, heads: 2, patch_size: 8}
        contrast: {hidden_width: 16, output_width: 8, momentum: 0.9}
        training: {steps: 4, global_batch_size: \(images)}
        optimizer: {learning_rate: 1.0e-3, scale_learning_rate_by_batch: null, schedule: constant}
        """, source: "test"
    ).configuration
  }

  /// A task on this rank, its run, and what it is shown.
  private func makeTask(
    on communicator: Communicator,
    images batch: @escaping (_ step: Int, _ places: Range<Int>) -> Batch = { Self.batch(step: $0, $1) }
  ) throws -> (task: MomentumContrastTask, plan: RunPlan, images: GeneratedBatches) {
    let configuration = try Self.configuration()
    let sampler = try GlobalSampler(count: Self.images, globalBatchSize: Self.images, seed: 1)
    let share = try RankShare(
      rank: communicator.rank, ranks: communicator.size, globalBatchSize: Self.images,
      microBatchSize: Self.images / communicator.size)
    let plan = RunPlan(configuration.shared, sampler: sampler, share: share)
    return (
      try MomentumContrastTask(configuration, plan: plan, evaluation: nil, communicator: communicator), plan,
      GeneratedBatches(share, make: batch)
    )
  }

  private static func batch(step: Int, _ places: Range<Int>, hasSecondView: Bool = true) -> Batch {
    let samples = places.map { step * images + $0 }
    return Batch(
      step: step, samples: samples, images: noiseImages(samples, side: 16, seed: 1),
      secondImages: hasSecondView ? noiseImages(samples, side: 16, seed: 2) : nil)
  }

  @Test func trainingIsTheSameOnAnyNumberOfRanks() throws {
    let runs = try [1, 2, 4].map { ranks in
      let all = try InProcessRanks.run(ranks, threads: 1) { communicator in
        let (task, plan, images) = try makeTask(on: communicator)
        let step = try TrainingStep(task, plan: plan, communicator: communicator)
        let measures = try (0..<3).map { number in
          let metrics = try step.advance(from: number, reading: images)
          let accuracy = metrics.others.first { $0.name == "contrast_accuracy" }?.value
          return [metrics.loss, metrics.gradientNorm, accuracy ?? .nan]
        }
        return (measures, task.units.flatMap { $0.parameters.map(\.value.elements) })
      }
      // To the bit, momentum encoder and moving statistics included.
      #expect(all.allSatisfy { $0.0 == all[0].0 && $0.1 == all[0].1 }, "\(ranks) ranks")
      return all[0].0
    }
    for run in runs[1...] {
      #expect(abs(run[0][0] - runs[0][0][0]) < 1e-6 * runs[0][0][0])
      // The rounding of a class token's gradient that is almost nothing itself.
      #expect(abs(run[0][1] - runs[0][0][1]) < 1e-5 * runs[0][0][1])
      for (found, expected) in zip(run, runs[0]) {
        #expect(abs(found[0] - expected[0]) < 1e-5 * expected[0] && found[2] == expected[2])
      }
    }
  }

  /// What each rank ended with, after `body` threw on all of them.
  private func errors(
    ranks: Int, _ body: @escaping @Sendable (Communicator) throws -> Void
  ) throws -> [any Error] {
    let errors = Mutex([(any Error)?](repeating: nil, count: ranks))
    #expect(throws: (any Error).self) {
      try InProcessRanks.run(ranks, threads: 1) { communicator in
        do {
          try body(communicator)
        } catch {
          errors.withLock { $0[communicator.rank] = error }
          throw error
        }
      }
    }
    let found = errors.withLock { $0.compactMap(\.self) }
    try #require(found.count == ranks, "a rank went on")
    return found
  }

  /// Makes the first step of a run.
  private func advance(
    _ task: any TrainingTask, _ plan: RunPlan, _ images: GeneratedBatches, on communicator: Communicator
  ) throws {
    let step = try TrainingStep(task, plan: plan, communicator: communicator)
    _ = try step.advance(from: 0, reading: images)
  }

  @Test(arguments: [2, 4]) func oneRanksErrorReachesAll(_ ranks: Int) throws {
    let last = ranks - 1
    let errors = try errors(ranks: ranks) { communicator in
      let (task, plan, images) = try makeTask(on: communicator) {
        Self.batch(step: $0, $1, hasSecondView: communicator.rank != last)
      }
      try advance(task, plan, images, on: communicator)
    }
    #expect("\(errors[last])".contains("second view"))
    #expect(errors.dropLast().allSatisfy { $0 is AbandonedCollectiveError })
  }

  /// Batch normalization takes what is not a number to every rank, and all of them say so.
  @Test(arguments: [2, 4]) func imagesThatAreNotNumbersEndTheStepOnAllRanks(_ ranks: Int) throws {
    let last = ranks - 1
    let errors = try errors(ranks: ranks) { communicator in
      let (task, plan, images) = try makeTask(on: communicator) {
        let batch = Self.batch(step: $0, $1)
        if communicator.rank == last { batch.images?[0] = .nan }
        return batch
      }
      try advance(task, plan, images, on: communicator)
    }
    #expect(errors.allSatisfy { ($0 as? AgreedError)?.description.contains("not finite") == true })
    #expect(Set(errors.map { "\($0)" }).count == 1)
  }

  /// Where the loss of one rank alone is not finite, the others have no backward.
  @Test(arguments: [2, 4]) func aLossThatIsNotFiniteOnOneRankStopsTheOthersBeforeBackward(_ ranks: Int) throws
  {
    let last = ranks - 1
    let outcomes = try InProcessRanks.run(ranks, threads: 1) { communicator in
      let (task, _, images) = try makeTask(on: communicator)
      // Without the batch's statistics a predictor spoils its own rank alone.
      let predictor = try #require(task.parameters.first { $0.name == "predictor.0.weight" })
      if communicator.rank == last { predictor.value.fill(.nan) }
      let batch = try #require(images.next())
      do {
        return try task.loss(of: batch, on: nil, mode: .evaluation).mean.item.isFinite
          ? "finite" : "not finite"
      } catch is NonFiniteElsewhere {
        return "not finite elsewhere"
      }
    }
    #expect(outcomes == Array(repeating: "not finite elsewhere", count: last) + ["not finite"])
  }

  @Test func aLossThatIsNotFiniteOnOneRankEndsTheStepOnAll() throws {
    let errors = try errors(ranks: 2) { communicator in
      let (task, plan, images) = try makeTask(on: communicator)
      let predictor = try #require(task.parameters.first { $0.name == "predictor.0.weight" })
      if communicator.rank == 1 { predictor.value.fill(.nan) }
      try advance(InEvaluation(task), plan, images, on: communicator)
    }
    for error in errors {
      #expect((error as? AgreedError)?.rank == 1 && "\(error)".contains("the loss of step 1 is not finite"))
    }
  }

  @Test func aShareIsNotCut() throws {
    #expect(throws: RunError.self) {
      let configuration = try Self.configuration()
      let sampler = try GlobalSampler(count: Self.images, globalBatchSize: Self.images, seed: 1)
      let share = try RankShare(globalBatchSize: Self.images, microBatchSize: 4)
      _ = try MomentumContrastTask(
        configuration, plan: RunPlan(configuration.shared, sampler: sampler, share: share), evaluation: nil,
        communicator: Communicator())
    }
  }
}

/// A task whose layers leave the batch's statistics alone, so that one rank's loss can differ from the others'.
private final class InEvaluation: TrainingTask, OptimizedUnit {
  private let inner: MomentumContrastTask

  init(_ inner: MomentumContrastTask) { self.inner = inner }

  static var task: String { MomentumContrastTask.task }
  var name: String { inner.name }
  var units: [any TrainableUnit] { [self] }
  var parameters: [Parameter] { inner.parameters }
  var metrics: MetricSums {
    get { inner.metrics }
    set { inner.metrics = newValue }
  }

  func loss(of batch: Batch, on tape: Tape?, mode: Mode) throws -> Loss {
    try inner.loss(of: batch, on: tape, mode: .evaluation)
  }

  func finishStep(
    _ step: Int, metrics: MetricSums, communicator: Communicator
  ) throws -> [NamedValue] { try inner.finishStep(step, metrics: metrics, communicator: communicator) }
}

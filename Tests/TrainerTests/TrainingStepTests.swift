import Communication
import Configuration
import Datasets
import Tensors
import TestSupport
import Testing
import Trainer

/// A task whose loss is (w · x)² averaged over the valid places of an image, of which images have different numbers.
private final class ValidPlacesTask: TrainingTask, OptimizedUnit {
  static let task = "valid_places"
  let name = CheckpointUnit.model
  let parameters: [Parameter]
  var metrics = MetricSums(["squares"])
  /// Whether a micro-batch weighs as its images do, whatever is valid in it.
  let countsImages: Bool
  let lossWeightPerImage: Double

  init(countsImages: Bool = false) {
    let scope = ParameterScope(seed: 5)
    _ = scope.parameter("weight", [1, 4], .normal(1), role: .weight)
    parameters = scope.parameters
    self.countsImages = countsImages
    lossWeightPerImage = countsImages ? 1 : 8
  }

  var units: [any TrainableUnit] { [self] }

  /// Places that count in an image, from none to eight.
  static func valid(in sample: Int) -> Int { sample * 5 % 9 }

  func loss(of batch: Batch, on tape: Tape?, mode: Mode) throws -> Loss {
    let weight = parameters[0]
    var rows: [Float] = []
    for sample in batch.samples {
      for place in 0..<Self.valid(in: sample) {
        var stream = RandomStream(seed: 3, purpose: .test, time: sample, index: place)
        rows += (0..<4).map { _ in stream.normal() }
      }
    }
    let count = rows.count / 4
    let products = (0..<count).map { row in
      zip(rows[(4 * row)..<(4 * row + 4)], weight.value.elements).reduce(0) { $0 + $1.0 * $1.1 }
    }
    let mean = Tensor(products.reduce(0) { $0 + $1 * $1 } / Float(max(count, 1)))
    if let tape {
      Tape.record(mean, from: [tape.constant(Tensor(0))], parameters: [weight]) { dy in
        var gradient = weight.gradient?.elements ?? []
        for (row, product) in products.enumerated() {
          for i in 0..<4 { gradient[i] += dy.item * 2 * product * rows[4 * row + i] / Float(count) }
        }
        weight.gradient?.copyElements(from: Tensor(gradient, shape: [1, 4]))
      }
    }
    metrics.add("squares", sum: Double(products.reduce(0) { $0 + $1 * $1 }), weight: Double(count))
    return Loss(mean: mean, weight: countsImages ? Double(batch.count) : Double(count))
  }

  func finishStep(
    _ step: Int, metrics: MetricSums, communicator: Communicator
  ) throws -> [NamedValue] { [("squares", metrics.mean("squares") ?? 0)] }
}

/// Batches of images without content.
private func emptyBatches(_ sampler: GlobalSampler, _ share: RankShare) -> GeneratedBatches {
  GeneratedBatches(share) { step, places in
    Batch(step: step, samples: Array(sampler.samples(step: step)[places]))
  }
}

@Suite struct TrainingStepTests {
  /// Losses, gradient norms and the weights after some steps of a task, on in-process ranks.
  private func train(
    ranks: Int, microBatchSize: Int, steps: Int = 3, countsImages: Bool = false
  ) throws -> (losses: [Double], norms: [Double], squares: [Double], weights: [Float]) {
    let results = try InProcessRanks.run(ranks, threads: 1) { communicator in
      var shared = SharedConfiguration()
      shared.training.globalBatchSize = 12
      shared.training.length = .steps(steps)
      shared.optimizer.learningRate = 0.1
      shared.optimizer.clipGradientNorm = 1
      let sampler = try GlobalSampler(count: 24, globalBatchSize: 12, seed: 1)
      let share = try RankShare(
        rank: communicator.rank, ranks: ranks, globalBatchSize: 12, microBatchSize: microBatchSize)
      let task = ValidPlacesTask(countsImages: countsImages)
      let step = try TrainingStep(
        task, plan: RunPlan(shared, sampler: sampler, share: share), communicator: communicator)
      let source = emptyBatches(sampler, share)
      var (losses, norms, squares) = ([Double](), [Double](), [Double]())
      for number in 0..<steps {
        let metrics = try step.advance(from: number, reading: source)
        losses.append(metrics.loss)
        norms.append(metrics.gradientNorm)
        squares.append(metrics.others.first { $0.name == "squares" }?.value ?? .nan)
      }
      return (losses, norms, squares, task.parameters[0].value.elements)
    }
    // All ranks have the same.
    #expect(results.allSatisfy { $0.0 == results[0].0 && $0.3 == results[0].3 })
    return results[0]
  }

  private func differ(_ a: [Double], _ b: [Double]) -> Double {
    zip(a, b).map { abs($0 - $1) / max(abs($0), 1e-12) }.max() ?? 0
  }

  @Test func aLossOverValidPlacesIsTheSameOnAnySplit() throws {
    let whole = try train(ranks: 1, microBatchSize: 12)
    // The loss of a step is the mean over all valid places of the global batch.
    #expect(differ(whole.losses, whole.squares) < 1e-6)
    for (ranks, size) in [(1, 4), (1, 1), (2, 6), (3, 2), (4, 3)] {
      let split = try train(ranks: ranks, microBatchSize: size)
      #expect(differ(whole.losses, split.losses) < 1e-5, "\(ranks) ranks, micro-batches of \(size)")
      #expect(differ(whole.norms, split.norms) < 1e-5, "\(ranks) ranks, micro-batches of \(size)")
      let weights = zip(whole.weights, split.weights).map { abs($0 - $1) }.max() ?? 1
      #expect(weights < 1e-5, "\(ranks) ranks, micro-batches of \(size)")
    }
  }

  @Test func sharesByNumberOfImagesWouldDependOnTheSplit() throws {
    let whole = try train(ranks: 1, microBatchSize: 12, countsImages: true)
    let split = try train(ranks: 3, microBatchSize: 2, countsImages: true)
    #expect(differ(whole.losses, split.losses) > 1e-2)
    // And would not be the mean over what is valid.
    #expect(differ(split.losses, split.squares) > 1e-2)
  }

  @Test func aLossThatIsNotFiniteEndsAllRanks() throws {
    #expect(throws: (any Error).self) {
      _ = try InProcessRanks.run(2, threads: 1) { communicator in
        var shared = SharedConfiguration()
        shared.training.globalBatchSize = 12
        shared.training.length = .steps(1)
        let sampler = try GlobalSampler(count: 24, globalBatchSize: 12, seed: 1)
        let share = try RankShare(
          rank: communicator.rank, ranks: 2, globalBatchSize: 12, microBatchSize: 3)
        let task = ValidPlacesTask()
        let step = try TrainingStep(
          task, plan: RunPlan(shared, sampler: sampler, share: share), communicator: communicator)
        task.parameters[0].value.fill(.infinity)
        _ = try step.advance(from: 0, reading: emptyBatches(sampler, share))
      }
    }
  }

  @Test func metricsKeepSumsAndWeights() {
    var metrics = MetricSums(["accuracy", "loss"], histograms: [("tokens", 3)])
    metrics.add("accuracy", sum: 3, weight: 4)
    metrics.add("accuracy", mean: 1, weight: 1)
    metrics.count([0, 2, 2], in: "tokens")
    #expect(metrics.mean("accuracy") == 0.8 && metrics.mean("loss") == nil)
    #expect(Array(metrics.histogram("tokens")) == [1, 0, 2])
  }

  @Test func averagesFollowInDoublePrecision() throws {
    let scope = ParameterScope(seed: 1)
    let leader = scope.parameter("weight", [3], .values([1, 2, 3]), role: .weight)
    let unit = AveragedUnit(name: "ema", of: [leader], moment: .afterUpdate) { _ in 0.75 }
    leader.value.copyElements(from: Tensor([5, 2, -1], shape: [3]))
    #expect(unit.parameters[0].value.elements == [1, 2, 3])
    #expect(unit.exchanged { leader.value.elements } == [1, 2, 3])
    #expect(leader.value.elements == [5, 2, -1])
  }
}

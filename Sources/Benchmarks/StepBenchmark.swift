import Communication
import Configuration
import Datasets
import Storage
import Tensors
import Trainer

/// How a benchmark of training goes.
public struct StepBenchmarkOptions: Sendable {
  /// Images of a rank's step.
  public var batch = 16
  /// Images computed at a time, a divisor of the batch; gradients add up to the batch's. Nil: all at once.
  public var microBatch: Int?
  /// What backward computes again.
  public var activationCheckpointing = ActivationCheckpointing.selective
  /// Steps before the clock starts.
  public var warmup = 1
  /// Steps that are timed.
  public var steps = 4
  /// Weights and images to compute with; nil: random ones.
  public var problem: String?
  /// Where the gradients of the problem's loss are written, as safetensors by the parameters' names; nil for nowhere.
  public var gradients: String?

  public init() {}
}

/// Times whole training steps of a task: forward, backward, reduction, optimizer.
struct StepBenchmark {
  let options: StepBenchmarkOptions
  let communicator: Communicator

  /// One batch again and again, in micro-batches; each step its own draws of what is dropped.
  private final class RepeatedBatch: BatchSource {
    private let size: Int
    private let parts: Int
    private let make: (Int) -> Batch
    private var position = 0

    init(_ size: Int, parts: Int, _ make: @escaping (Int) -> Batch) {
      (self.size, self.parts, self.make) = (size, parts, make)
    }

    func next() -> Batch? {
      let (step, part) = position.quotientAndRemainder(dividingBy: parts)
      position += 1
      return parts == 1
        ? make(step) : make(step).part(size * part / parts..<size * (part + 1) / parts, microBatch: part)
    }
  }

  /// Runs the steps and adds what they took to `report`. Collective.
  ///
  /// - Parameters:
  ///   - shared: The configuration that the task was made of.
  ///   - operations: Floating-point operations of an image, forward and backward.
  ///   - makeBatch: The batch of a step, counted from 0.
  func run(
    _ task: any TrainingTask, _ shared: SharedConfiguration, operations: Double,
    into report: inout BenchmarkReport,
    makeBatch: @escaping (_ step: Int) -> Batch
  ) throws {
    let peak = try measuredPeak(communicator)
    var shared = shared
    shared.training.globalBatchSize = options.batch * communicator.size
    shared.training.activationCheckpointing = options.activationCheckpointing
    let microBatch = options.microBatch ?? options.batch
    guard options.batch % microBatch == 0 else {
      throw BenchmarkError("a batch of \(options.batch) cannot be cut into micro-batches of \(microBatch)")
    }
    shared.training.microBatchSize = microBatch
    shared.training.length = .steps(options.warmup + options.steps)
    let share = try RankShare(
      rank: communicator.rank, ranks: communicator.size, globalBatchSize: shared.training.globalBatchSize,
      microBatchSize: microBatch)
    let sampler = try GlobalSampler(
      count: shared.training.globalBatchSize, globalBatchSize: shared.training.globalBatchSize, seed: 0)
    let step = try TrainingStep(
      task, plan: RunPlan(shared, sampler: sampler, share: share), communicator: communicator)
    let source = RepeatedBatch(options.batch, parts: options.batch / microBatch, makeBatch)
    for number in 0..<options.warmup { _ = try step.advance(from: number, reading: source) }
    let residentBefore = ProcessMemory.resident
    var measured: [Metrics] = []
    for number in options.warmup..<options.warmup + options.steps {
      measured.append(try step.advance(from: number, reading: source))
    }
    let growth = ProcessMemory.resident - residentBefore

    let timings = Timings(measured.map(\.seconds))
    let images = Double(shared.training.globalBatchSize)
    report.note("ranks", communicator.size)
    report.note("threads", ThreadPool.current.threadCount)
    report.note("batch", options.batch)
    report.note("micro_batch", microBatch)
    report.add(
      "images_per_second", "images", timings.median > 0 ? images / timings.median : 0, "a second")
    report.add("seconds", "step", timings)
    for (key, label) in [
      ("data_wait_seconds", "  waiting for data"), ("forward_seconds", "  forward"),
      ("backward_seconds", "  backward"), ("communication_exposed_seconds", "  communication exposed"),
      ("optimizer_seconds", "  norm and optimizer"),
    ] {
      report.add(
        key, label, Timings(measured.map { $0.others.first { $0.name == key }?.value ?? 0 }))
    }
    report.add(operations: operations * images, inSeconds: timings.median, peak: peak)
    report.addMemory(peak: Int(try communicator.allReduce(.max, Int64(ProcessMemory.peak))))
    let tensors = ExecutionContext.current.memory.usage
    report.note("peak_tensor_bytes", tensors.peak)
    report.line(
      "  tensors",
      "\(BenchmarkReport.bytes(tensors.peak)) at once, \(BenchmarkReport.bytes(tensors.reserved)) held")
    report.note("memory_growth_bytes", Int(try communicator.allReduce(.max, Int64(growth))))
  }
}

extension BenchmarkReport {
  /// Adds the loss of a problem, without dropout, as another program has it too, and writes its gradients if asked to.
  mutating func addLoss(
    of unit: some OptimizedUnit, _ batch: Batch, _ options: StepBenchmarkOptions, communicator: Communicator
  ) throws {
    guard options.problem != nil else { return }
    guard let path = options.gradients else {
      // In the pieces of a step: a whole batch would leave the pool blocks that nothing else has the size of.
      let size = options.microBatch ?? options.batch
      let losses = try stride(from: 0, to: options.batch, by: size).map { first in
        let part = batch.part(first..<min(first + size, options.batch), microBatch: first / size)
        return try unit.loss(of: part, on: nil, mode: .evaluation)
      }
      let weight = losses.reduce(0) { $0 + $1.weight }
      return add("loss", "loss of the problem", losses.reduce(0) { $0 + $1.sum } / weight, "", digits: 7)
    }
    let parameters = unit.parameters.filter { $0.kind == .trained }
    for parameter in parameters { parameter.enableGradient() }
    let tape = Tape()
    let loss = try unit.loss(of: batch, on: tape, mode: .evaluation).mean
    add("loss", "loss of the problem", Double(loss.item), "", digits: 7)
    tape.backward(from: loss)
    try communicator.agree {
      guard communicator.isRoot else { return }
      try SafetensorsFile.write(
        tensors: parameters.map { ($0.name, $0.shape, $0.gradient?.elements ?? []) }, to: path)
    }
  }
}

/// What all ranks' threads together can multiply and add, in operations a second; measured at the same time on all.
func measuredPeak(_ communicator: Communicator) throws -> Double {
  try communicator.barrier()
  return try communicator.allReduce(.sum, Processor.measuredPeak(threads: ThreadPool.current.threadCount))
}

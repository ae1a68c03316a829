import Foundation
import Tensors
import Threads

/// Reads, decodes, augments and masks images ahead of time on threads of its own, and hands out micro-batches
/// strictly in order.
///
/// What a batch holds depends on the seed, the step and the dataset alone: not on the number of threads, and
/// not on the number of ranks but for the cut. A loader may start at any step.
public final class Loader: BatchSource {
  /// How a loader works; no bearing on what it delivers.
  public struct Options: Sendable {
    /// Threads that decode.
    public var workers: Int
    /// Batches being made or waiting.
    public var prefetch: Int

    public init(workers: Int = 2, prefetch: Int = 3) {
      self.workers = workers
      self.prefetch = prefetch
    }
  }

  private let core: LoaderCore

  /// A loader for training: this rank's share of every step, from `firstStep` on, without end.
  ///
  /// With `tokens`, each sample takes one of the file's views, drawn by epoch, in place of a crop and flip of
  /// its own.
  public init(
    _ dataset: ImageDataset, _ pipeline: SamplePipeline, sampler: GlobalSampler, share: RankShare,
    firstStep: Int = 0, tokens: TokenFile? = nil, options: Options = Options()
  ) throws {
    precondition(sampler.datasetCount == dataset.count, "the sampler is for another number of images")
    core = try LoaderCore(
      dataset, pipeline, tokens, .training(sampler, share, firstStep: firstStep), options)
  }

  /// A loader that delivers every image of `range` once a view, the last batch perhaps smaller.
  ///
  /// For each batch all views follow one another. View k is augmented as epoch k of training would be, or is
  /// view k of the token file.
  public init(
    sequenceOf dataset: ImageDataset, _ pipeline: SamplePipeline, range: Range<Int>? = nil, batchSize: Int,
    views: Int = 1, tokens: TokenFile? = nil, options: Options = Options()
  ) throws {
    let range = range ?? 0..<dataset.count
    precondition(
      range.lowerBound >= 0 && range.upperBound <= dataset.count, "images \(range) of \(dataset.count)")
    guard batchSize > 0 else { throw DatasetError("batch size", "is \(batchSize), must be at least 1") }
    guard views > 0 else { throw DatasetError("views", "is \(views), must be at least 1") }
    if let tokens, views > tokens.header.views {
      throw DatasetError(tokens.path, "holds \(tokens.header.views) views, \(views) were asked for")
    }
    core = try LoaderCore(
      dataset, pipeline, tokens, .sequence(range, batchSize: batchSize, views: views), options)
  }

  /// A loader that delivers some images in the order given, the last batch perhaps smaller.
  public init(
    of samples: [Int], in dataset: ImageDataset, _ pipeline: SamplePipeline, batchSize: Int,
    options: Options = Options()
  ) throws {
    precondition(samples.allSatisfy((0..<dataset.count).contains), "images outside of the dataset")
    guard batchSize > 0 else { throw DatasetError("batch size", "is \(batchSize), must be at least 1") }
    core = try LoaderCore(dataset, pipeline, nil, .selection(samples, batchSize: batchSize), options)
  }

  deinit { core.stop() }

  /// The next batch, or nil at the end of a sequence. Throws when one of its images cannot be read.
  public func next() throws -> Batch? { try core.next() }

  /// Ends the threads; `next` gives nothing more. Also happens when the loader goes.
  public func stop() { core.stop() }
}

/// What a loader's threads share.
///
/// Unchecked: a condition guards everything that changes.
private final class LoaderCore: @unchecked Sendable {
  private let dataset: ImageDataset
  private let pipeline: SamplePipeline
  private let tokens: TokenFile?
  private let plan: BatchPlan
  private let options: Loader.Options
  private let depth: Int

  private let condition = NSCondition()
  /// The batches at work, in order.
  private var pending: [PendingBatch] = []
  private var nextPosition = 0
  private var isExhausted = false
  private var isStopped = false
  private var running = 0

  init(
    _ dataset: ImageDataset, _ pipeline: SamplePipeline, _ tokens: TokenFile?, _ plan: BatchPlan,
    _ options: Loader.Options
  ) throws {
    try pipeline.validate(tokens: tokens?.header)
    try tokens?.requireMatch(dataset)
    guard options.workers > 0 else {
      throw DatasetError(.workers, "is \(options.workers), must be at least 1")
    }
    guard options.prefetch > 0 else {
      throw DatasetError(.prefetch, "is \(options.prefetch), must be at least 1")
    }
    self.dataset = dataset
    self.pipeline = pipeline
    self.tokens = tokens
    self.plan = plan
    self.options = options
    // Small batches: enough of them that every thread has a sample to make while one is handed out.
    depth = max(options.prefetch, (options.workers + plan.batchSize - 1) / plan.batchSize + 1)
    let context = ExecutionContext.current
    for index in 0..<options.workers {
      condition.withLock { running += 1 }
      do {
        try WorkerThread.start("peco-loader-\(index)") {
          ExecutionContext.$current.withValue(context) { self.work() }
        }
      } catch {
        condition.withLock { running -= 1 }
        stop()
        throw error
      }
    }
  }

  func next() throws -> Batch? {
    let started = DispatchTime.now().uptimeNanoseconds
    condition.lock()
    defer { condition.unlock() }
    while !isStopped {
      if let first = pending.first, first.done == first.work.samples.count {
        pending.removeFirst()
        condition.broadcast()
        if let failure = first.failure { throw failure.error }
        let waited = Double(DispatchTime.now().uptimeNanoseconds - started) * 1e-9
        return first.finished(secondsWaited: waited)
      }
      if pending.isEmpty, isExhausted { return nil }
      condition.wait()
    }
    return nil
  }

  func stop() {
    condition.lock()
    isStopped = true
    condition.broadcast()
    while running > 0 { condition.wait() }
    pending = []
    condition.unlock()
  }

  private func work() {
    let renderer = SampleRenderer(dataset, pipeline, tokens)
    while let (batch, index) = take() {
      var failure: Error?
      do { try renderer.render(index, of: batch) } catch { failure = error }
      condition.lock()
      if let failure, index < batch.failure?.sample ?? .max { batch.failure = (index, failure) }
      batch.done += 1
      if batch.done == batch.work.samples.count { condition.broadcast() }
      condition.unlock()
    }
    condition.lock()
    running -= 1
    condition.broadcast()
    condition.unlock()
  }

  /// The next sample to make: of the last batch, or of a new one where there is room. Nil when there is no more.
  private func take() -> (PendingBatch, Int)? {
    condition.lock()
    defer { condition.unlock() }
    while !isStopped {
      if let last = pending.last, last.taken < last.work.samples.count {
        last.taken += 1
        return (last, last.taken - 1)
      }
      if pending.count < depth, !isExhausted {
        guard let work = plan.work(at: nextPosition) else {
          isExhausted = true
          condition.broadcast()
          return nil
        }
        nextPosition += 1
        pending.append(PendingBatch(work, pipeline))
        condition.broadcast()
        continue
      }
      if isExhausted { return nil }
      condition.wait()
    }
    return nil
  }
}

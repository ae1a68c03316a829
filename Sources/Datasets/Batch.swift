import Imaging
import Tensors

/// The images of one micro-batch and what goes with them.
///
/// Tensors come from the memory pool and return there with the last reference.
public struct Batch {
  /// The step, from 0, that the batch belongs to; the number of the batch when reading in sequence.
  public let step: Int
  /// The epoch, from 0; the view when reading in sequence.
  public let epoch: Int
  /// Which of the rank's micro-batches of the step this is.
  public let microBatch: Int
  /// The images' indices in the dataset.
  public let samples: [Int]
  /// The model's view: [batch, size, size, 3], normalized.
  public let images: Tensor?
  /// The tokenizer's view: [batch, size, size, 3], from -1 to 1.
  public let tokenizerImages: Tensor?
  /// Another view of the model's, as `images`.
  public let secondImages: Tensor?
  /// The masked patches as positions in the flattened batch, sample · patches + patch, ascending; empty without
  /// masks.
  public let masked: [Int32]
  /// The classes, or -1.
  public let labels: [Int32]
  /// The tokens at all positions, [batch · tokens], when a token file is used.
  public let tokens: [Int32]?
  /// What each view was cut from.
  public let crops: [Region]
  /// Whether each view is flipped.
  public let flips: [Bool]
  /// How long the caller of `next` had to wait for it.
  public let secondsWaited: Double

  /// Number of images.
  public var count: Int { samples.count }

  /// A batch of images that come from elsewhere than a loader, with nothing about how they were made.
  public init(
    step: Int, samples: [Int], images: Tensor? = nil, tokenizerImages: Tensor? = nil,
    secondImages: Tensor? = nil, masked: [Int32] = [], tokens: [Int32]? = nil
  ) {
    self.init(
      step: step, epoch: 0, microBatch: 0, samples: samples, images: images,
      tokenizerImages: tokenizerImages, secondImages: secondImages, masked: masked,
      labels: samples.map { _ in -1 }, tokens: tokens,
      crops: [], flips: [], secondsWaited: 0)
  }

  init(
    step: Int, epoch: Int, microBatch: Int, samples: [Int], images: Tensor?, tokenizerImages: Tensor?,
    secondImages: Tensor?, masked: [Int32], labels: [Int32], tokens: [Int32]?, crops: [Region],
    flips: [Bool], secondsWaited: Double
  ) {
    self.step = step
    self.epoch = epoch
    self.microBatch = microBatch
    self.samples = samples
    self.images = images
    self.tokenizerImages = tokenizerImages
    self.secondImages = secondImages
    self.masked = masked
    self.labels = labels
    self.tokens = tokens
    self.crops = crops
    self.flips = flips
    self.secondsWaited = secondsWaited
  }
}

extension Batch {
  /// Some of its images as a micro-batch of their own.
  public func part(_ range: Range<Int>, microBatch: Int) -> Batch {
    func part(_ tensor: Tensor?) -> Tensor? {
      tensor.map { whole in
        let size = whole.count / max(count, 1)
        return whole.view(at: range.lowerBound * size, shape: [range.count] + whole.shape.dropFirst())
      }
    }
    let patches = (tokens?.count ?? 0) / max(count, 1)
    let places = Int32(range.lowerBound * patches)..<Int32(range.upperBound * patches)
    return Batch(
      step: step, epoch: epoch, microBatch: microBatch, samples: Array(samples[range]),
      images: part(images),
      tokenizerImages: part(tokenizerImages), secondImages: part(secondImages),
      masked: masked.filter(places.contains).map { $0 - places.lowerBound }, labels: Array(labels[range]),
      tokens: tokens.map { Array($0[Int(places.lowerBound)..<Int(places.upperBound)]) },
      crops: crops.isEmpty ? [] : Array(crops[range]), flips: flips.isEmpty ? [] : Array(flips[range]),
      secondsWaited: secondsWaited)
  }
}

/// Hands out micro-batches one after another: a `Loader`, or a benchmark's images again and again.
public protocol BatchSource {
  /// The next batch, or nil when there are no more.
  func next() throws -> Batch?
}

/// Which images make which batch.
enum BatchPlan {
  /// Steps without end, this rank's share of each.
  case training(GlobalSampler, RankShare, firstStep: Int)
  /// Each image of a range, view by view for every batch.
  case sequence(Range<Int>, batchSize: Int, views: Int)
  /// Some images, in order.
  case selection([Int], batchSize: Int)

  struct Work {
    let step: Int
    let epoch: Int
    let microBatch: Int
    /// The view asked for; nil where it is drawn.
    let view: Int?
    let samples: [Int]
  }

  /// Images in a batch, but for the last of a sequence.
  var batchSize: Int {
    switch self {
    case .training(_, let share, _): share.microBatchSize
    case .sequence(_, let batchSize, _), .selection(_, let batchSize): batchSize
    }
  }

  /// The batch at a position of the plan, from 0; nil past the end.
  func work(at position: Int) -> Work? {
    switch self {
    case .training(let sampler, let share, let firstStep):
      let step = firstStep + position / share.microBatches
      let microBatch = position % share.microBatches
      let samples = sampler.samples(step: step)[share.range(ofMicroBatch: microBatch)]
      return Work(
        step: step, epoch: sampler.epoch(ofStep: step), microBatch: microBatch, view: nil,
        samples: Array(samples))
    case .sequence(let range, let batchSize, let views):
      let (batch, view) = position.quotientAndRemainder(dividingBy: views)
      let start = range.lowerBound + batch * batchSize
      guard start < range.upperBound else { return nil }
      return Work(
        step: batch, epoch: view, microBatch: 0, view: view,
        samples: Array(start..<min(start + batchSize, range.upperBound)))
    case .selection(let samples, let batchSize):
      let start = position * batchSize
      guard start < samples.count else { return nil }
      return Work(
        step: position, epoch: 0, microBatch: 0, view: 0,
        samples: Array(samples[start..<min(start + batchSize, samples.count)]))
    }
  }
}

/// A batch while threads fill it, each its own samples.
final class PendingBatch: @unchecked Sendable {
  let work: BatchPlan.Work
  let images: Tensor?
  let tokenizerImages: Tensor?
  let secondImages: Tensor?
  let masked: UnsafeMutableBufferPointer<Int32>
  let tokens: UnsafeMutableBufferPointer<Int32>
  let labels: UnsafeMutableBufferPointer<Int32>
  let crops: UnsafeMutableBufferPointer<Region>
  let flips: UnsafeMutableBufferPointer<Bool>
  /// Samples that a thread has taken, and that are done; guarded by the loader's lock.
  var taken = 0
  var done = 0
  /// What went wrong at the first bad sample; guarded by the loader's lock.
  var failure: (sample: Int, error: Error)?

  init(_ work: BatchPlan.Work, _ recipe: SamplePipeline, tokensPerView: Int) {
    self.work = work
    let count = work.samples.count
    images = recipe.image.map { Tensor(uninitialized: [count, $0.size, $0.size, 3]) }
    tokenizerImages = recipe.tokenizerImage.map { Tensor(uninitialized: [count, $0.size, $0.size, 3]) }
    secondImages =
      recipe.secondAugmentation == nil
      ? nil : recipe.image.map { Tensor(uninitialized: [count, $0.size, $0.size, 3]) }
    masked = .allocate(capacity: count * (recipe.mask?.count ?? 0))
    tokens = .allocate(capacity: count * tokensPerView)
    labels = .allocate(capacity: count)
    crops = .allocate(capacity: count)
    flips = .allocate(capacity: count)
  }

  deinit {
    masked.deallocate()
    tokens.deallocate()
    labels.deallocate()
    crops.deallocate()
    flips.deallocate()
  }

  func finished(secondsWaited: Double) -> Batch {
    Batch(
      step: work.step, epoch: work.epoch, microBatch: work.microBatch, samples: work.samples,
      images: images, tokenizerImages: tokenizerImages, secondImages: secondImages,
      masked: Array(masked), labels: Array(labels),
      tokens: tokens.isEmpty ? nil : Array(tokens), crops: Array(crops), flips: Array(flips),
      secondsWaited: secondsWaited)
  }
}

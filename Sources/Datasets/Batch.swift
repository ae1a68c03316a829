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
  /// What is to be learned about the images.
  public let targets: BatchTargets
  /// How each image's view was made; empty for images that come from elsewhere than a loader.
  public let transforms: [GeometricTransform]
  /// How long the caller of `next` had to wait for it.
  public let secondsWaited: Double

  /// Number of images.
  public var count: Int { samples.count }

  /// A batch of images that come from elsewhere than a loader, with nothing about how they were made. Where patches are
  /// masked it is told how many an image has; without labels every class is -1.
  public init(
    step: Int, samples: [Int], images: Tensor? = nil, tokenizerImages: Tensor? = nil,
    secondImages: Tensor? = nil, labels: [Int32]? = nil, masked: [Int32] = [], patches: Int = 0,
    tokens: [Int32]? = nil
  ) {
    self.init(
      step: step, epoch: 0, microBatch: 0, samples: samples, images: images,
      tokenizerImages: tokenizerImages, secondImages: secondImages,
      targets: BatchTargets(
        labels: labels ?? samples.map { _ in -1 }, tokens: tokens, masked: masked, patches: patches),
      transforms: [],
      secondsWaited: 0)
  }

  init(
    step: Int, epoch: Int, microBatch: Int, samples: [Int], images: Tensor?, tokenizerImages: Tensor?,
    secondImages: Tensor?, targets: BatchTargets, transforms: [GeometricTransform], secondsWaited: Double
  ) {
    self.step = step
    self.epoch = epoch
    self.microBatch = microBatch
    self.samples = samples
    self.images = images
    self.tokenizerImages = tokenizerImages
    self.secondImages = secondImages
    self.targets = targets
    self.transforms = transforms
    self.secondsWaited = secondsWaited
  }
}

extension Batch {
  /// The classes, or -1.
  public var labels: [Int32] { targets.labels }
  /// The tokens at all positions, [batch · tokens], when a token file is used.
  public var tokens: [Int32]? { targets.tokens }
  /// The masked patches as positions in the flattened batch; empty without masks.
  public var masked: [Int32] { targets.masked }
  /// What each view was cut from.
  public var crops: [Region] { transforms.map(\.region) }
  /// Whether each view is flipped.
  public var flips: [Bool] { transforms.map(\.isFlipped) }

  /// Some of its images as a micro-batch of their own.
  public func part(_ range: Range<Int>, microBatch: Int) -> Batch {
    func part(_ tensor: Tensor?) -> Tensor? {
      tensor.map { whole in
        let size = whole.count / max(count, 1)
        return whole.view(at: range.lowerBound * size, shape: [range.count] + whole.shape.dropFirst())
      }
    }
    return Batch(
      step: step, epoch: epoch, microBatch: microBatch, samples: Array(samples[range]),
      images: part(images),
      tokenizerImages: part(tokenizerImages), secondImages: part(secondImages),
      targets: targets.part(range), transforms: transforms.isEmpty ? [] : Array(transforms[range]),
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
///
/// Unchecked: every place of its memory is written by one thread, and read when the loader's lock says that all are
/// done.
final class PendingBatch: @unchecked Sendable {
  let work: BatchPlan.Work
  let images: Tensor?
  let tokenizerImages: Tensor?
  let secondImages: Tensor?
  /// Each sample's targets and geometry, set by the thread that makes it.
  private let targets: UnsafeMutableBufferPointer<Targets>
  private let transforms: UnsafeMutableBufferPointer<GeometricTransform?>
  /// Patches of a sample, by which masked ones are counted on through the batch.
  private let patches: Int
  /// Samples that a thread has taken, and that are done; guarded by the loader's lock.
  var taken = 0
  var done = 0
  /// What went wrong at the first bad sample; guarded by the loader's lock.
  var failure: (sample: Int, error: Error)?

  init(_ work: BatchPlan.Work, _ pipeline: SamplePipeline) {
    self.work = work
    let count = work.samples.count
    images = pipeline.image.map { Tensor(uninitialized: [count, $0.size, $0.size, 3]) }
    tokenizerImages = pipeline.tokenizerImage.map { Tensor(uninitialized: [count, $0.size, $0.size, 3]) }
    secondImages =
      pipeline.secondAugmentation == nil
      ? nil : pipeline.image.map { Tensor(uninitialized: [count, $0.size, $0.size, 3]) }
    targets = .allocate(capacity: count)
    targets.initialize(repeating: Targets())
    transforms = .allocate(capacity: count)
    transforms.initialize(repeating: nil)
    patches = pipeline.mask?.patches ?? 0
  }

  deinit {
    targets.deinitialize().deallocate()
    transforms.deinitialize().deallocate()
  }

  /// Keeps what goes with the image at `place`; each place is one thread's.
  func set(_ targets: Targets, _ transform: GeometricTransform, at place: Int) {
    self.targets[place] = targets
    transforms[place] = transform
  }

  func finished(secondsWaited: Double) -> Batch {
    Batch(
      step: work.step, epoch: work.epoch, microBatch: work.microBatch, samples: work.samples,
      images: images, tokenizerImages: tokenizerImages, secondImages: secondImages,
      targets: BatchTargets(Array(targets), patches: patches), transforms: transforms.compactMap { $0 },
      secondsWaited: secondsWaited)
  }
}

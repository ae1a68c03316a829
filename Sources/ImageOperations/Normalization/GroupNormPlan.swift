import Operations
@_spi(TensorMemory) import Tensors

/// How the work on a batch is cut: images in groups that stay in cache between two passes over them, and each
/// image's planes (its blocks of channels; one where channels lie last) in chunks of rows of pixels. The cut does
/// not depend on the number of threads.
struct GroupNormPlan {
  let images, rows, channels, chunks, group: Int
  /// Planes of an image, and channels of a plane, which lie side by side.
  let blocks, run: Int

  /// A part of a plane.
  struct Chunk {
    let image: Int
    /// The first channel of the plane.
    let channel: Int
    /// Number of the chunk among all of the batch.
    let slot: Int
    /// First element of the plane, and of the chunk.
    let planeStart, start: Int
    /// Pixels of the chunk.
    let rows: Int
  }

  init(_ shape: [Int]) {
    let layout = ChannelLayout(shape)
    (images, rows, channels) = (layout.batch, layout.height * layout.width, layout.channels)
    (blocks, run) = (layout.blocks, layout.run)
    chunks = max(1, rows * run / (1 << 16))
    group = max(1, (1 << 20) / max(rows * channels, 1))
  }

  func forEachGroup(_ body: (Range<Int>) -> Void) {
    for start in stride(from: 0, to: images, by: group) { body(start..<min(start + group, images)) }
  }

  func forEachChunk(of group: Range<Int>, _ body: (Chunk) -> Void) {
    ThreadPool.current.forEach(group.count * blocks * chunks) { index in
      let (plane, chunk) = (group.lowerBound * blocks + index / chunks, index % chunks)
      let first = rows * chunk / chunks
      body(
        Chunk(
          image: plane / blocks, channel: plane % blocks * run, slot: plane * chunks + chunk,
          planeStart: plane * rows * run, start: (plane * rows + first) * run,
          rows: rows * (chunk + 1) / chunks - first))
    }
  }

  /// Where a channel's first pixel lies.
  func firstElement(of image: Int, channel: Int) -> Int {
    (image * blocks + channel / run) * rows * run + channel % run
  }
}

/// Two sums over the pixels of each channel of each image, gathered chunk by chunk.
struct GroupNormSums {
  private let plan: GroupNormPlan
  private let scratch: DoubleSum

  init(_ plan: GroupNormPlan) {
    self.plan = plan
    scratch = DoubleSum(count: 2 * plan.images * plan.chunks * plan.channels)
  }

  /// Where a chunk adds: the first sums of its channels, then the second.
  func partial(_ slot: Int) -> UnsafeMutablePointer<Double> { scratch.pointer + 2 * slot * plan.run }

  /// Adds the chunks of an image's planes into the first of each.
  func add(of image: Int) {
    for plane in image * plan.blocks..<(image + 1) * plan.blocks {
      let total = partial(plane * plan.chunks)
      for chunk in 1..<max(plan.chunks, 1) {
        for i in 0..<2 * plan.run { total[i] += total[2 * chunk * plan.run + i] }
      }
    }
  }

  func first(_ image: Int, _ channel: Int) -> Double { total(image, channel)[0] }
  func second(_ image: Int, _ channel: Int) -> Double { total(image, channel)[plan.run] }

  private func total(_ image: Int, _ channel: Int) -> UnsafeMutablePointer<Double> {
    partial((image * plan.blocks + channel / plan.run) * plan.chunks) + channel % plan.run
  }
}

/// For each image and channel: y = x · scale + offset, and the normalized value x̂ = x · factor + shift.
struct GroupNormCoefficients {
  private let values: Tensor
  private let channels: Int

  init(images: Int, channels: Int) {
    values = Tensor(uninitialized: [images, 4, channels])
    self.channels = channels
  }

  func scale(_ image: Int) -> UnsafeMutablePointer<Float> { values.pointer + 4 * image * channels }
  func offset(_ image: Int) -> UnsafeMutablePointer<Float> { scale(image) + channels }
  func factor(_ image: Int) -> UnsafeMutablePointer<Float> { scale(image) + 2 * channels }
  func shift(_ image: Int) -> UnsafeMutablePointer<Float> { scale(image) + 3 * channels }
}

import Imaging
import Tensors

/// Makes one sample of a batch: reads, decodes, crops, changes and masks an image. One for each thread.
final class SampleRenderer {
  private let dataset: ImageDataset
  private let pipeline: SamplePipeline
  private let tokens: TokenFile?
  private let decoder = CropDecoder()
  private var bytes: [UInt8] = []

  init(_ dataset: ImageDataset, _ pipeline: SamplePipeline, _ tokens: TokenFile?) {
    self.dataset = dataset
    self.pipeline = pipeline
    self.tokens = tokens
  }

  /// Fills place `place` of a batch. What it draws depends on seed, epoch and the image's index alone.
  func render(_ place: Int, of batch: PendingBatch) throws {
    let index = batch.work.samples[place]
    let epoch = batch.work.epoch
    var targets = Targets(label: dataset.labels[index])
    let transform: GeometricTransform
    if let tokens {
      let view = batch.work.view ?? drawnView(of: tokens, epoch, index)
      transform = try self.transform(of: tokens, index, view: view)
      targets.tokens = try tokens.tokens(index, view: view)
    } else {
      transform = drawnTransform(pipeline.augmentation, size: viewSize, index, epoch, view: 0)
    }
    if let mask = pipeline.mask {
      targets.masked = mask.positions(seed: pipeline.seed, epoch: epoch, index: index)
    }
    batch.set(targets.applying(transform), transform, at: place)
    guard pipeline.image != nil || pipeline.tokenizerImage != nil else { return }
    do {
      try renderViews(place, batch, index, epoch, transform)
    } catch let error as ImagingError {
      throw DatasetError(dataset.path, "\(dataset.describe(index)): \(error.problem)", advice: error.advice)
    }
  }

  /// Pixels from edge to edge of the largest view.
  private var viewSize: Int { max(pipeline.image?.size ?? 0, pipeline.tokenizerImage?.size ?? 0) }

  private func drawnView(of tokens: TokenFile, _ epoch: Int, _ index: Int) -> Int {
    var stream = RandomStream(seed: pipeline.seed, purpose: .view, time: epoch, index: index)
    return stream.integer(below: tokens.header.views)
  }

  /// The geometry that a view of a token file was encoded with.
  private func transform(of tokens: TokenFile, _ index: Int, view: Int) throws -> GeometricTransform {
    let region = tokens.crop(index, view: view)
    guard region.fits(width: Int(dataset.widths[index]), height: Int(dataset.heights[index])) else {
      throw DatasetError(
        tokens.path, "is damaged: the crop of \(dataset.describe(index)), view \(view), lies outside of it",
        advice: "encode the dataset anew")
    }
    return GeometricTransform(
      region: region, isFlipped: tokens.isFlipped(index, view: view), width: viewSize, height: viewSize)
  }

  /// The geometry of a view, drawn for a sample in an epoch.
  private func drawnTransform(
    _ augmentation: Augmentation, size: Int, _ index: Int, _ epoch: Int, view: Int
  ) -> GeometricTransform {
    let region = augmentation.crop.region(
      width: Int(dataset.widths[index]), height: Int(dataset.heights[index]), seed: pipeline.seed,
      epoch: epoch, index: index, view: view)
    var stream = RandomStream(seed: pipeline.seed, purpose: .flip, time: epoch, index: index, view: view)
    return GeometricTransform(
      region: region, isFlipped: stream.uniform() < augmentation.flipProbability, width: size, height: size)
  }

  private func renderViews(
    _ place: Int, _ batch: PendingBatch, _ index: Int, _ epoch: Int, _ transform: GeometricTransform
  ) throws {
    try dataset.read(index, into: &bytes)
    let crop = try decodeCrop(for: transform, index)
    let appearance = pipeline.augmentation.appearance(pipeline.seed, epoch, index, view: 0)
    for (view, tensor) in [
      (pipeline.image, batch.images), (pipeline.tokenizerImage, batch.tokenizerImages),
    ] {
      guard let view, let tensor else { continue }
      try finish(view, crop, transform, appearance, into: tensor, place)
    }
    try renderSecondView(place, batch, index, epoch)
  }

  /// Cuts another view out of the image read last. It has geometry of its own, and no targets.
  private func renderSecondView(_ place: Int, _ batch: PendingBatch, _ index: Int, _ epoch: Int) throws {
    guard let augmentation = pipeline.secondAugmentation, let view = pipeline.image,
      let tensor = batch.secondImages
    else { return }
    let transform = drawnTransform(augmentation, size: view.size, index, epoch, view: 1)
    let crop = try decodeCrop(for: transform, index)
    let appearance = augmentation.appearance(pipeline.seed, epoch, index, view: 1)
    try finish(view, crop, transform, appearance, into: tensor, place)
  }

  /// Decodes what a view of the image read last is made of.
  private func decodeCrop(for transform: GeometricTransform, _ index: Int) throws -> CropDecoder.Crop {
    try bytes.withUnsafeBytes {
      try decoder.decode($0, for: transform, orientation: dataset.orientation(index))
    }
  }

  /// Resizes the crop decoded last, changes what it looks like, and normalizes it.
  private func finish(
    _ preprocessing: ImagePreprocessing, _ crop: CropDecoder.Crop, _ transform: GeometricTransform,
    _ appearance: Appearance,
    into tensor: Tensor, _ place: Int
  ) throws {
    try tensor[row: place].withUnsafeMutableElements { elements in
      guard let pixels = elements.baseAddress else { return }
      try decoder.resample(
        crop, by: transform.resized(width: preprocessing.size, height: preprocessing.size),
        filter: preprocessing.interpolation,
        into: pixels)
      appearance.apply(to: pixels, side: preprocessing.size)
      RandAugment.apply(appearance.operations, to: pixels, side: preprocessing.size, fill: preprocessing.mean)
      ColorJitter.normalize(
        pixels, count: preprocessing.size * preprocessing.size,
        mean: SIMD3(preprocessing.mean[0], preprocessing.mean[1], preprocessing.mean[2]),
        deviation: SIMD3(preprocessing.deviation[0], preprocessing.deviation[1], preprocessing.deviation[2]))
      appearance.erasing?.apply(to: pixels, side: preprocessing.size)
    }
  }
}

extension ColorJitterRange {
  /// The adjustments of one sample in an epoch, in random order, as torchvision draws them.
  func draw(_ seed: UInt64, _ epoch: Int, _ index: Int, view: Int = 0) -> [ColorAdjustment] {
    var stream = RandomStream(seed: seed, purpose: .colorJitter, time: epoch, index: index, view: view)
    let order = stream.permutation(4)
    func factor(_ range: Float) -> Float { stream.uniform(max(0, 1 - range), 1 + range) }
    let drawn: [ColorAdjustment?] = [
      brightness > 0 ? .brightness(factor(brightness)) : nil,
      contrast > 0 ? .contrast(factor(contrast)) : nil,
      saturation > 0 ? .saturation(factor(saturation)) : nil, hue > 0 ? .hue(stream.uniform(-hue, hue)) : nil,
    ]
    return order.compactMap { drawn[$0] }
  }
}

extension ImageDataset {
  /// An image, decoded and turned as it has to be.
  public func image(_ index: Int) throws -> Image {
    var bytes: [UInt8] = []
    try read(index, into: &bytes)
    do {
      let image = try Image(decoding: bytes)
      let orientation = orientation(index)
      guard orientation != .upright else { return image }
      let buffer = PixelBuffer(image)
      buffer.turn(orientation)
      return buffer.image
    } catch let error as ImagingError {
      throw DatasetError(path, "\(describe(index)): \(error.problem)", advice: error.advice)
    }
  }
}

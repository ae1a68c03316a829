import Imaging
import Tensors

/// Makes one sample of a batch: reads, decodes, crops, changes and masks an image. One for each thread.
final class SampleRenderer {
  private let dataset: ImageDataset
  private let recipe: SamplePipeline
  private let tokens: TokenFile?
  private let decoder = CropDecoder()
  private var bytes: [UInt8] = []

  init(_ dataset: ImageDataset, _ recipe: SamplePipeline, _ tokens: TokenFile?) {
    self.dataset = dataset
    self.recipe = recipe
    self.tokens = tokens
  }

  /// Fills place `place` of a batch. What it draws depends on seed, epoch and the image's index alone.
  func render(_ place: Int, of batch: PendingBatch) throws {
    let index = batch.work.samples[place]
    let epoch = batch.work.epoch
    let augmentation = recipe.augmentation
    batch.labels[place] = dataset.labels[index]

    let region: Region
    let isFlipped: Bool
    let (width, height) = (Int(dataset.widths[index]), Int(dataset.heights[index]))
    if let tokens {
      let view = batch.work.view ?? drawnView(of: tokens, epoch, index)
      region = tokens.crop(index, view: view)
      isFlipped = tokens.isFlipped(index, view: view)
      guard region.fits(width: width, height: height) else {
        throw DatasetError(
          tokens.path, "is damaged: the crop of \(dataset.describe(index)), view \(view), lies outside of it",
          advice: "encode the dataset anew")
      }
      let size = tokens.header.tokensPerView
      let target = UnsafeMutableBufferPointer(rebasing: batch.tokens[place * size..<(place + 1) * size])
      try tokens.read(index, view: view, into: target)
    } else {
      region = augmentation.crop.region(
        width: width, height: height, seed: recipe.seed, epoch: epoch, index: index)
      var stream = RandomStream(seed: recipe.seed, purpose: .flip, time: epoch, index: index)
      isFlipped = stream.uniform() < augmentation.flipProbability
    }
    batch.crops[place] = region
    batch.flips[place] = isFlipped

    if let mask = recipe.mask {
      let positions = mask.positions(seed: recipe.seed, epoch: epoch, index: index)
      for (i, position) in positions.enumerated() {
        batch.masked[place * mask.count + i] = Int32(place * mask.patches) + position
      }
    }
    guard recipe.image != nil || recipe.tokenizerImage != nil else { return }
    do {
      try renderViews(place, batch, index, epoch, region, isFlipped)
    } catch let error as ImagingError {
      throw DatasetError(dataset.path, "\(dataset.describe(index)): \(error.problem)", advice: error.advice)
    }
  }

  private func drawnView(of tokens: TokenFile, _ epoch: Int, _ index: Int) -> Int {
    var stream = RandomStream(seed: recipe.seed, purpose: .view, time: epoch, index: index)
    return stream.integer(below: tokens.header.views)
  }

  private func renderViews(
    _ place: Int, _ batch: PendingBatch, _ index: Int, _ epoch: Int, _ region: Region, _ isFlipped: Bool
  ) throws {
    try dataset.read(index, into: &bytes)
    let size = max(recipe.image?.size ?? 0, recipe.tokenizerImage?.size ?? 0)
    let crop = try bytes.withUnsafeBytes {
      try decoder.decode($0, crop: region, width: size, height: size, scaledDecoding: true)
    }
    let appearance = recipe.augmentation.appearance(recipe.seed, epoch, index, view: 0)
    for (view, tensor) in [
      (recipe.image, batch.images), (recipe.tokenizerImage, batch.tokenizerImages),
    ] {
      guard let view, let tensor else { continue }
      try finish(view, crop, appearance, isFlipped, into: tensor, place)
    }
    try renderSecondView(place, batch, index, epoch)
  }

  /// Cuts another view out of the image read last.
  private func renderSecondView(_ place: Int, _ batch: PendingBatch, _ index: Int, _ epoch: Int) throws {
    guard let augmentation = recipe.secondAugmentation, let view = recipe.image,
      let tensor = batch.secondImages
    else { return }
    let region = augmentation.crop.region(
      width: Int(dataset.widths[index]), height: Int(dataset.heights[index]), seed: recipe.seed,
      epoch: epoch, index: index, view: 1)
    var stream = RandomStream(seed: recipe.seed, purpose: .flip, time: epoch, index: index, view: 1)
    let crop = try bytes.withUnsafeBytes {
      try decoder.decode($0, crop: region, width: view.size, height: view.size, scaledDecoding: true)
    }
    try finish(
      view, crop, augmentation.appearance(recipe.seed, epoch, index, view: 1),
      stream.uniform() < augmentation.flipProbability, into: tensor, place)
  }

  /// Resizes the crop decoded last, changes what it looks like, and normalizes it.
  private func finish(
    _ view: ImageView, _ crop: CropDecoder.Crop, _ appearance: Appearance, _ isFlipped: Bool,
    into tensor: Tensor, _ place: Int
  ) throws {
    let count = view.size * view.size
    let pixels = tensor.pointer + place * count * 3
    try decoder.resample(
      crop, width: view.size, height: view.size, filter: view.interpolation, flipped: isFlipped,
      into: pixels)
    appearance.apply(to: pixels, side: view.size)
    RandAugment.apply(appearance.operations, to: pixels, side: view.size, fill: view.mean)
    ColorJitter.normalize(
      pixels, count: count, mean: SIMD3(view.mean[0], view.mean[1], view.mean[2]),
      deviation: SIMD3(view.deviation[0], view.deviation[1], view.deviation[2]))
    appearance.erasing?.apply(to: pixels, side: view.size)
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
  /// An image, decoded.
  public func image(_ index: Int) throws -> Image {
    var bytes: [UInt8] = []
    try read(index, into: &bytes)
    do {
      return try Image(decoding: bytes)
    } catch let error as ImagingError {
      throw DatasetError(path, "\(describe(index)): \(error.problem)", advice: error.advice)
    }
  }
}

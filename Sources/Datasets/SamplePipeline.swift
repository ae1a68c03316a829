import Imaging

/// How a view is cut out of an image and changed.
public struct Augmentation: Sendable, Equatable {
  /// Which part of the image.
  public var crop: CropRule
  /// How often it is flipped left to right.
  public var flipProbability: Float
  /// The color jitter, if there is one.
  public var colorJitter: ColorJitterRange?
  /// What else happens to it.
  public var effects = ViewEffects()
  /// Operations on the whole view, after its colors have changed.
  public var randAugment: RandAugment?
  /// A rectangle of the normalized view that turns into noise.
  public var erasing: RandomErasing?

  public init(
    crop: CropRule = .randomResized(), flipProbability: Float = 0.5, colorJitter: ColorJitterRange? = nil
  ) {
    self.crop = crop
    self.flipProbability = flipProbability
    self.colorJitter = colorJitter
  }

  /// Throws, naming the settings, where it is impossible.
  func validate() throws {
    try crop.validate()
    guard (0...1).contains(flipProbability) else {
      throw DatasetError("flip probability", "is \(flipProbability), must be 0 to 1")
    }
    if let jitter = colorJitter {
      for (name, value, limit) in [
        ("brightness", jitter.brightness, Float.greatestFiniteMagnitude),
        ("contrast", jitter.contrast, .greatestFiniteMagnitude),
        ("saturation", jitter.saturation, .greatestFiniteMagnitude), ("hue", jitter.hue, 0.5),
      ] where !(value >= 0 && value <= limit) {
        let allowed = limit == 0.5 ? "0 to 0.5" : "at least 0"
        throw DatasetError(.colorJitter, part: name, "is \(value), must be \(allowed)")
      }
    }
    try effects.validate()
    try erasing?.validate()
  }

  /// The center crop, unchanged, as for evaluation.
  public static func evaluation(resizeShortSide: Int, size: Int) -> Augmentation {
    Augmentation(crop: .center(resizeShortSide: resizeShortSide, size: size), flipProbability: 0)
  }
}

/// How far colors may change: torchvision's `ColorJitter`. Applied to the view, after cropping.
public struct ColorJitterRange: Sendable, Equatable {
  /// Brightness is multiplied by a factor in [1 − b, 1 + b].
  public var brightness: Float
  /// Contrast likewise, around the mean luma.
  public var contrast: Float
  /// Saturation likewise, around each pixel's luma.
  public var saturation: Float
  /// Hue is turned by a share of the circle in [−h, h], h at most 0.5.
  public var hue: Float

  public init(brightness: Float = 0.4, contrast: Float = 0.4, saturation: Float = 0.4, hue: Float = 0) {
    self.brightness = brightness
    self.contrast = contrast
    self.saturation = saturation
    self.hue = hue
  }
}

/// How views are shown to a model: resized, values from 0 to 1 normalized by mean and deviation per channel.
public struct ImagePreprocessing: Sendable, Equatable {
  /// Pixels from edge to edge.
  public var size: Int
  /// Mean of red, green, blue.
  public var mean: [Float]
  /// Standard deviation of red, green, blue.
  public var deviation: [Float]
  /// How the crop is resized.
  public var interpolation: ResampleFilter

  /// Normalization with ImageNet's statistics unless others are given.
  public init(
    size: Int, mean: [Float] = [0.485, 0.456, 0.406], deviation: [Float] = [0.229, 0.224, 0.225],
    interpolation: ResampleFilter = .bicubic
  ) {
    self.size = size
    self.mean = mean
    self.deviation = deviation
    self.interpolation = interpolation
  }

  /// How views are shown to a tokenizer: values from -1 to 1.
  public static func tokenizer(size: Int, interpolation: ResampleFilter = .bicubic) -> ImagePreprocessing {
    ImagePreprocessing(
      size: size, mean: [0.5, 0.5, 0.5], deviation: [0.5, 0.5, 0.5], interpolation: interpolation)
  }
}

/// Everything that decides what an image of the dataset becomes in a batch.
public struct SamplePipeline: Sendable {
  /// The seed of all draws.
  public var seed: UInt64
  /// How views are cut and changed; the two views share crop, flip and colors.
  public var augmentation: Augmentation
  /// How the model's view is made, if it is wanted.
  public var image: ImagePreprocessing?
  /// How the tokenizer's view is made, if it is wanted.
  public var tokenizerImage: ImagePreprocessing?
  /// Which patches are masked, if any.
  public var mask: MaskGenerator?
  /// The augmentation of a second view for the model, if there is one; it has its own draws.
  public var secondAugmentation: Augmentation?

  public init(
    seed: UInt64, augmentation: Augmentation = Augmentation(), image: ImagePreprocessing? = nil,
    tokenizerImage: ImagePreprocessing? = nil, mask: MaskGenerator? = nil
  ) {
    self.seed = seed
    self.augmentation = augmentation
    self.image = image
    self.tokenizerImage = tokenizerImage
    self.mask = mask
  }

  /// Throws, naming the settings, where the pipeline is impossible.
  public func validate(tokens: TokenFileDescription? = nil) throws {
    for augmentation in [augmentation] + (secondAugmentation.map { [$0] } ?? []) {
      try augmentation.validate()
    }
    for (field, preprocessing) in [
      (DatasetError.Field.imageSize, image), (.tokenizerImageSize, tokenizerImage),
    ] {
      guard let preprocessing else { continue }
      guard (1...8192).contains(preprocessing.size) else {
        throw DatasetError(field, "is \(preprocessing.size), must be 1 to 8192")
      }
      guard preprocessing.mean.count == 3, preprocessing.deviation.count == 3,
        preprocessing.deviation.allSatisfy({ $0 > 0 })
      else {
        throw DatasetError(.normalization, "need three means and three deviations above zero")
      }
    }
    if let mask, let tokens, (mask.height, mask.width) != (tokens.gridHeight, tokens.gridWidth) {
      throw DatasetError(
        .mask,
        "is for a grid of \(mask.height) × \(mask.width) patches, but the token file has "
          + "\(tokens.gridHeight) × \(tokens.gridWidth) tokens",
        advice:
          "image size / patch size must equal the grid, which the size of the encoded images decided")
    }
  }
}

extension Augmentation {
  /// The middle of the image after its shorter side was resized, by default to 256/224 of the view's side.
  public static func evaluation(shortSide: Int?, size: Int) -> Augmentation {
    .evaluation(resizeShortSide: shortSide ?? evaluationShortSide(size: size), size: size)
  }

  /// 256/224 of the view's side.
  public static func evaluationShortSide(size: Int) -> Int { Int((Double(size) * 256 / 224).rounded()) }
}

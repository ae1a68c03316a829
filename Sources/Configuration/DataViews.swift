import Datasets

extension DataConfiguration {
  /// How views are cut out of images and changed.
  public var augmentation: Augmentation {
    let strength = Float(colorJitter)
    return Augmentation(
      crop: .randomResized(scale: cropScale), flipProbability: flip ? 0.5 : 0,
      colorJitter: colorJitter > 0
        ? ColorJitterRange(brightness: strength, contrast: strength, saturation: strength) : nil)
  }

  /// How the transformer sees an image.
  public var imagePreprocessing: ImagePreprocessing {
    ImagePreprocessing(
      size: imageSize, mean: mean.map { Float($0) }, deviation: standardDeviation.map { Float($0) },
      interpolation: interpolation)
  }

  /// How the loader works.
  public var loaderOptions: Loader.Options { Loader.Options(workers: workers) }
}

import Imaging
import Tensors

/// What may happen to a view besides crop and flip, in MoCo v3's order (Chen et al., 2104.02057, section 4.1): colors
/// change, gray, blur, solarization. Each is drawn for itself.
public struct ViewEffects: Sendable, Equatable {
  /// How often the colors change, where the augmentation changes them.
  public var colorJitterProbability: Float
  /// How often the view turns gray.
  public var grayscaleProbability: Float
  /// How often it is blurred by a Gaussian.
  public var blurProbability: Float
  /// The blur's least and greatest deviation, in pixels of the view.
  public var blurSigma: ClosedRange<Float>
  /// How often values of 128 and more are inverted.
  public var solarizeProbability: Float

  /// By default colors always change and nothing else does.
  public init(
    colorJitterProbability: Float = 1, grayscaleProbability: Float = 0, blurProbability: Float = 0,
    blurSigma: ClosedRange<Float> = 0.1...2, solarizeProbability: Float = 0
  ) {
    self.colorJitterProbability = colorJitterProbability
    self.grayscaleProbability = grayscaleProbability
    self.blurProbability = blurProbability
    self.blurSigma = blurSigma
    self.solarizeProbability = solarizeProbability
  }

  func validate() throws {
    for (name, value) in [
      ("color jitter", colorJitterProbability), ("grayscale", grayscaleProbability),
      ("blur", blurProbability),
      ("solarize", solarizeProbability),
    ] where !(0...1).contains(value) {
      throw DatasetError("\(name) probability", "is \(value), must be 0 to 1")
    }
    guard blurSigma.lowerBound > 0, blurSigma.upperBound <= 64 else {
      throw DatasetError(
        "blur sigma", "is \(blurSigma.lowerBound) to \(blurSigma.upperBound), must lie in (0, 64]")
    }
  }
}

/// The changes drawn for one view.
struct Appearance {
  var adjustments: [ColorAdjustment] = []
  var isGray = false
  var blurSigma: Float?
  var isSolarized = false
  var operations: [ImageOperation] = []
  var erasing: RandomErasing.Draw?

  /// Changes `side`² pixels of interleaved RGB in [0, 255], in place.
  func apply(to pixels: UnsafeMutablePointer<Float>, side: Int) {
    ColorJitter.apply(isGray ? adjustments + [.saturation(0)] : adjustments, to: pixels, count: side * side)
    if let blurSigma {
      ImageFilters.gaussianBlur(pixels, width: side, height: side, sigma: blurSigma)
    }
    if isSolarized { ImageFilters.solarize(pixels, count: side * side) }
  }
}

extension Augmentation {
  /// The changes of a view of a sample in an epoch.
  func appearance(_ seed: UInt64, _ epoch: Int, _ index: Int, view: Int) -> Appearance {
    func stream(_ purpose: RandomPurpose) -> RandomStream {
      RandomStream(seed: seed, purpose: purpose, time: epoch, index: index, view: view)
    }
    func happens(_ purpose: RandomPurpose, _ probability: Float) -> Bool {
      var stream = stream(purpose)
      return stream.uniform() < probability
    }
    var result = Appearance()
    if let colorJitter, happens(.colorChange, effects.colorJitterProbability) {
      result.adjustments = colorJitter.draw(seed, epoch, index, view: view)
    }
    result.isGray = happens(.grayscale, effects.grayscaleProbability)
    var blur = stream(.blur)
    if blur.uniform() < effects.blurProbability {
      result.blurSigma = blur.uniform(effects.blurSigma.lowerBound, effects.blurSigma.upperBound)
    }
    result.isSolarized = happens(.solarize, effects.solarizeProbability)
    if let randAugment { result.operations = randAugment.draw(stream(.randAugment)) }
    result.erasing = erasing?.draw(stream(.erasing))
    return result
  }
}

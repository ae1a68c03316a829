import Imaging

/// What is to be learned about one image. Each kind is there where the task needs it.
public struct Targets: Sendable, Equatable {
  /// The class of the whole image, or -1.
  public var label: Int32
  /// The tokens of the view, row-major, from a token file.
  public var tokens: [Int32]?
  /// The masked patches of the view, ascending.
  public var masked: [Int32]
  /// A class for every pixel.
  public var labelMap: LabelMap<Int32>?
  /// Objects and where they are.
  public var boxes: BoundingBoxes?

  public init(
    label: Int32 = -1, tokens: [Int32]? = nil, masked: [Int32] = [], labelMap: LabelMap<Int32>? = nil,
    boxes: BoundingBoxes? = nil
  ) {
    self.label = label
    self.tokens = tokens
    self.masked = masked
    self.labelMap = labelMap
    self.boxes = boxes
  }
}

extension Targets: GeometricTarget {
  /// The targets of a view. Classes have no place in the image; tokens and masks belong to the view already.
  public func applying(_ transform: GeometricTransform) -> Targets {
    var view = self
    view.labelMap = labelMap?.applying(transform)
    view.boxes = boxes?.applying(transform)
    return view
  }
}

/// An image and its targets.
public struct Sample: Sendable, Equatable {
  /// The image.
  public var image: Image
  /// What is to be learned about it.
  public var targets: Targets

  public init(image: Image, targets: Targets) {
    self.image = image
    self.targets = targets
  }

  /// The sample with other colors: targets stay as they are.
  public func adjusted(_ adjustments: [ColorAdjustment]) -> Sample {
    Sample(image: image.adjusted(adjustments), targets: targets)
  }
}

extension Sample: GeometricTarget {
  /// One view of image and targets. Throws where the region is not within the image.
  public func applying(_ transform: GeometricTransform) throws -> Sample {
    Sample(image: try image.applying(transform), targets: targets.applying(transform))
  }
}

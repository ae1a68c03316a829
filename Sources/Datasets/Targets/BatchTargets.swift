/// The targets of a batch's images, put together.
public struct BatchTargets: Sendable, Equatable {
  /// The classes, or -1: [batch].
  public var labels: [Int32]
  /// The tokens at all positions, [batch · tokens], when a token file is used.
  public var tokens: [Int32]?
  /// The masked patches as positions in the flattened batch, sample · patches + patch, ascending; empty without
  /// masks.
  public var masked: [Int32]
  /// Patches of an image, by which masked ones are counted on through the batch; 0 without masks.
  public let patches: Int
  /// A class for every pixel of every image; nil where the samples have none.
  public var labelMaps: [LabelMap<Int32>]?
  /// Every image's objects; nil where the samples have none.
  public var boxes: [BoundingBoxes]?

  public init(
    labels: [Int32], tokens: [Int32]? = nil, masked: [Int32] = [], patches: Int = 0,
    labelMaps: [LabelMap<Int32>]? = nil, boxes: [BoundingBoxes]? = nil
  ) {
    precondition(masked.isEmpty || patches > 0, "masked patches are counted by the patches of an image")
    self.labels = labels
    self.tokens = tokens
    self.masked = masked
    self.patches = patches
    self.labelMaps = labelMaps
    self.boxes = boxes
  }

  /// Puts samples' targets together. A kind is there when every sample has it.
  ///
  /// - Parameters:
  ///   - samples: Each sample's targets.
  ///   - patches: Patches of a sample, by which masked ones are counted on.
  public init(_ samples: [Targets], patches: Int) {
    func all<Kind>(_ kind: (Targets) -> Kind?) -> [Kind]? {
      let found = samples.compactMap(kind)
      return found.isEmpty || found.count < samples.count ? nil : found
    }
    self.patches = patches
    labels = samples.map(\.label)
    tokens = all(\.tokens).map { Array($0.joined()) }
    masked = samples.enumerated().flatMap { place, sample in
      sample.masked.map { Int32(place * patches) + $0 }
    }
    labelMaps = all(\.labelMap)
    boxes = all(\.boxes)
  }

  /// Those of some of the images.
  func part(_ range: Range<Int>) -> BatchTargets {
    let tokensEach = (tokens?.count ?? 0) / max(labels.count, 1)
    let places = Int32(range.lowerBound * patches)..<Int32(range.upperBound * patches)
    return BatchTargets(
      labels: Array(labels[range]),
      tokens: tokens.map { Array($0[range.lowerBound * tokensEach..<range.upperBound * tokensEach]) },
      masked: masked.filter(places.contains).map { $0 - places.lowerBound }, patches: patches,
      labelMaps: labelMaps.map { Array($0[range]) }, boxes: boxes.map { Array($0[range]) })
  }
}

import Imaging

/// A rectangle around an object: [x0, y0, x1, y1] in pixels, whose first spans 0 to 1.
public struct BoundingBox: Sendable, Equatable {
  /// The left edge.
  public var x0: Float
  /// The upper edge.
  public var y0: Float
  /// The right edge.
  public var x1: Float
  /// The lower edge.
  public var y1: Float
  /// The object's class.
  public var label: Int32

  public init(x0: Float, y0: Float, x1: Float, y1: Float, label: Int32) {
    self.x0 = x0
    self.y0 = y0
    self.x1 = x1
    self.y1 = y1
    self.label = label
  }

  /// Whether nothing is in it; also where an edge is not a number.
  public var isEmpty: Bool { !(x1 > x0 && y1 > y0) }
}

/// The objects of an image, as detection learns them.
public struct BoundingBoxes: Sendable, Equatable {
  /// The objects, in no particular order.
  public var boxes: [BoundingBox]

  public init(_ boxes: [BoundingBox]) { self.boxes = boxes }
}

extension BoundingBoxes: GeometricTarget {
  /// The boxes of a view: clipped to it, and left out where nothing of them is in it.
  public func applying(_ transform: GeometricTransform) -> BoundingBoxes {
    let region = transform.region
    let (width, height) = (Float(transform.width), Float(transform.height))
    let (scaleX, scaleY) = (width / Float(region.width), height / Float(region.height))
    func clipped(_ edge: Float, _ start: Int, _ scale: Float, _ limit: Float) -> Float {
      min(max((edge - Float(start)) * scale, 0), limit)
    }
    return BoundingBoxes(
      boxes.compactMap { box in
        var moved = BoundingBox(
          x0: clipped(box.x0, region.x, scaleX, width), y0: clipped(box.y0, region.y, scaleY, height),
          x1: clipped(box.x1, region.x, scaleX, width), y1: clipped(box.y1, region.y, scaleY, height),
          label: box.label)
        if transform.isFlipped { (moved.x0, moved.x1) = (width - moved.x1, width - moved.x0) }
        return moved.isEmpty ? nil : moved
      })
  }
}

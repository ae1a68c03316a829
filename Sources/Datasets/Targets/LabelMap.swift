import Imaging

/// A class for every pixel of an image, as semantic segmentation learns it.
///
/// Values are resized by the nearest neighbor, since classes cannot be mixed. `Value` is usually `UInt8` or `Int32`.
public struct LabelMap<Value: FixedWidthInteger & Sendable>: Sendable, Equatable {
  /// Pixels from left to right.
  public let width: Int
  /// Pixels from top to bottom.
  public let height: Int
  /// `height × width` classes, row by row from the top.
  public let values: [Value]
  /// The value of pixels without a class: those outside of the image too.
  public let ignoreValue: Value

  public init(width: Int, height: Int, values: [Value], ignoreValue: Value) {
    precondition(values.count == width * height, "one value a pixel")
    self.width = width
    self.height = height
    self.values = values
    self.ignoreValue = ignoreValue
  }
}

extension LabelMap: GeometricTarget {
  /// The map of a view: each pixel takes the value under its center.
  public func applying(_ transform: GeometricTransform) -> LabelMap {
    let region = transform.region
    // In whole numbers: floor((i + ½) · source / target), as Pillow's nearest neighbor.
    let columns = (0..<transform.width).map { column in
      let place = transform.isFlipped ? transform.width - 1 - column : column
      return region.x + (2 * place + 1) * region.width / (2 * transform.width)
    }
    var result: [Value] = []
    result.reserveCapacity(transform.width * transform.height)
    for place in 0..<transform.height {
      let row = region.y + (2 * place + 1) * region.height / (2 * transform.height)
      for column in columns {
        let isInside = (0..<height).contains(row) && (0..<width).contains(column)
        result.append(isInside ? values[row * width + column] : ignoreValue)
      }
    }
    return LabelMap(
      width: transform.width, height: transform.height, values: result, ignoreValue: ignoreValue)
  }
}

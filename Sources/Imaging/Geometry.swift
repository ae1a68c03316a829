/// A rectangle of whole pixels.
public struct Region: Sendable, Equatable {
  public var x: Int
  public var y: Int
  public var width: Int
  public var height: Int

  public init(x: Int, y: Int, width: Int, height: Int) {
    self.x = x
    self.y = y
    self.width = width
    self.height = height
  }

  /// Whether it holds at least a pixel and lies within an image of this size.
  public func fits(width imageWidth: Int, height imageHeight: Int) -> Bool {
    x >= 0 && y >= 0 && width > 0 && height > 0 && width <= imageWidth && height <= imageHeight
      && x <= imageWidth - width && y <= imageHeight - height
  }
}

/// A rectangle whose edges may cut through pixels; the first pixel spans 0 to 1.
public struct Box: Sendable, Equatable {
  public var x: Double
  public var y: Double
  public var width: Double
  public var height: Double

  public init(x: Double, y: Double, width: Double, height: Double) {
    self.x = x
    self.y = y
    self.width = width
    self.height = height
  }

  public init(_ region: Region) {
    self.init(
      x: Double(region.x), y: Double(region.y), width: Double(region.width), height: Double(region.height))
  }
}

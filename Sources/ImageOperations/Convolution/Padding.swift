/// Zeros around an image, in pixels.
public struct Padding: Sendable, Equatable, ExpressibleByIntegerLiteral {
  /// Rows above.
  public var top: Int
  /// Rows below.
  public var bottom: Int
  /// Columns on the left.
  public var left: Int
  /// Columns on the right.
  public var right: Int

  /// Zeros on each side.
  public init(top: Int, bottom: Int, left: Int, right: Int) {
    (self.top, self.bottom, self.left, self.right) = (top, bottom, left, right)
  }

  /// The same on all four sides.
  public init(_ all: Int) { self.init(top: all, bottom: all, left: all, right: all) }

  /// The same on all four sides.
  public init(integerLiteral all: Int) { self.init(all) }
}

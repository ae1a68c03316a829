/// How a flat gradient buffer is cut into the pieces that are reduced together.
///
/// Parameters lie in the order in which backward finishes. A bucket takes whole parameters until the next one
/// would overflow it; a parameter larger than a bucket has one to itself.
public struct GradientBuckets: Equatable, Sendable {
  /// The elements of each bucket, in layout order.
  public private(set) var ranges: [Range<Int>] = []
  /// The parameters of each bucket, in layout order.
  public private(set) var parameters: [Range<Int>] = []

  /// Cuts parameters, given as element ranges that ascend without overlap, into buckets of at most
  /// `capacity` elements.
  public init(parameters layout: [Range<Int>], capacity: Int) {
    var end = 0
    for (index, parameter) in layout.enumerated() {
      precondition(
        parameter.lowerBound >= end, "parameters overlap or are out of order in the gradient buffer")
      end = parameter.upperBound
      if let last = ranges.last, parameter.upperBound - last.lowerBound <= capacity {
        ranges[ranges.count - 1] = last.lowerBound..<parameter.upperBound
        parameters[parameters.count - 1] = parameters[parameters.count - 1].lowerBound..<index + 1
      } else {
        ranges.append(parameter)
        parameters.append(index..<index + 1)
      }
    }
  }
}

/// An image that could not be decoded, encoded or resized: which one, what is wrong, what to do.
public struct ImagingError: Error, CustomStringConvertible, Equatable, Sendable {
  /// Where the image comes from (a path, an index in a dataset), when that is known.
  public var source: String?
  /// What is wrong.
  public let problem: String
  /// What the person at the terminal can do about it.
  public let advice: String?

  public init(source: String? = nil, problem: String, advice: String? = nil) {
    self.source = source
    self.problem = problem
    self.advice = advice
  }

  public var description: String {
    (source.map { "\($0): " } ?? "") + problem + (advice.map { "; \($0)" } ?? "")
  }

  /// The same error, saying where the image comes from.
  public func at(_ source: String) -> ImagingError {
    var named = self
    named.source = source
    return named
  }
}

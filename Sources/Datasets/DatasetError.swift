/// Something wrong with a dataset, a token file, an image or a setting: where, what, and what to do.
public struct DatasetError: Error, CustomStringConvertible, Equatable, Sendable {
  /// The file, the image or the configuration key concerned.
  public let subject: String
  /// What is wrong.
  public let problem: String
  /// What the person at the terminal can do about it.
  public let advice: String?

  public init(_ subject: String, _ problem: String, advice: String? = nil) {
    self.subject = subject
    self.problem = problem
    self.advice = advice
  }

  public var description: String { "\(subject): \(problem)" + (advice.map { "; \($0)" } ?? "") }
}

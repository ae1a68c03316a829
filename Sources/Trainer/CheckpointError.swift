import Configuration

/// A checkpoint that cannot be used: which file, what is wrong, what to do.
public struct CheckpointError: Error, CustomStringConvertible, Equatable, Sendable {
  /// The checkpoint's path, or its folder's.
  public let path: String
  /// What is wrong.
  public let problem: String
  /// What the person at the terminal can do about it.
  public let advice: String?

  public init(path: String, problem: String, advice: String? = nil) {
    self.path = path
    self.problem = problem
    self.advice = advice
  }

  /// An error about what a checkpoint says of its model.
  package init(path: String, card error: ModelCardError) {
    self.init(path: path, problem: "its model card cannot be read: \(error)")
  }

  public var description: String { "\(path): \(problem)" + (advice.map { "; \($0)" } ?? "") }
}

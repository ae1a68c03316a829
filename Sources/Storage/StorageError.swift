/// A file that could not be read or written: which file, which object in it, what is wrong, what to do.
public struct StorageError: Error, CustomStringConvertible, Equatable, Sendable {
  /// The file's path as the caller gave it.
  public let path: String
  /// The dataset, group, attribute or tensor concerned, if it is not the file as a whole.
  public let object: String?
  /// What is wrong.
  public let problem: String
  /// What the person at the terminal can do about it.
  public let advice: String?

  public init(path: String, object: String? = nil, problem: String, advice: String? = nil) {
    self.path = path
    self.object = object
    self.problem = problem
    self.advice = advice
  }

  public var description: String {
    var text = path + ": "
    if let object { text += "\(object): " }
    text += problem
    if let advice { text += "; \(advice)" }
    return text
  }
}

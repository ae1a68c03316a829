/// Something wrong with a dataset, a token file, an image or a setting: where, what, and what to do.
public struct DatasetError: Error, CustomStringConvertible, Equatable, Sendable {
  /// The settings that errors are about, in this module's own words.
  ///
  /// Callers know them by other names, such as a key of a configuration: see `named`.
  public enum Field: String, Sendable, CaseIterable {
    case imageSize = "image size"
    case tokenizerImageSize = "tokenizer image size"
    case normalization = "mean and deviation"
    case colorJitter = "color jitter"
    case cropScale = "crop scale"
    case erasing = "erasing probability"
    case globalBatchSize = "global batch size"
    case microBatchSize = "micro-batch size"
    case workers
    case prefetch
    case mask
    case maskedPatches = "masked patches"
    case smallestBlock = "smallest block"
    case blockAspect = "block aspect"
    case shortSide = "short side"
    case quality = "JPEG quality"
    case imageCount = "image count"
    case imageSide = "image side"
    case input
    case subset
    case strictness
    /// A file that should hold a dataset.
    case dataset
    /// A file that should hold tokens.
    case tokens
  }

  /// The file, the image or the setting concerned.
  public let subject: String
  /// What is wrong.
  public let problem: String
  /// What the person at the terminal can do about it.
  public let advice: String?
  /// The setting that is wrong, or that the advice is about.
  public let field: Field?
  /// The part of the subject behind the field's name; nil where the subject is something else.
  private let part: String?

  public init(_ subject: String, _ problem: String, advice: String? = nil, field: Field? = nil) {
    self.init(subject, problem, advice: advice, field: field, part: nil)
  }

  private init(_ subject: String, _ problem: String, advice: String?, field: Field?, part: String?) {
    self.subject = subject
    self.problem = problem
    self.advice = advice
    self.field = field
    self.part = part
  }

  /// An error about a setting, or a `part` of it.
  package init(_ field: Field, part: String? = nil, _ problem: String, advice: String? = nil) {
    let part = part.map { " (\($0))" } ?? ""
    self.init(field.rawValue + part, problem, advice: advice, field: field, part: part)
  }

  public var description: String { "\(subject): \(problem)" + (advice.map { "; \($0)" } ?? "") }

  /// The same error in the words of a caller, who knows fields by names of its own.
  ///
  /// The name takes the place of the field where that is the subject, and otherwise follows the advice in parentheses.
  /// An error is named once.
  public func named(_ name: (Field) -> String?) -> DatasetError {
    guard let field, let name = name(field) else { return self }
    if let part { return DatasetError(name + part, problem, advice: advice) }
    return DatasetError(subject, problem, advice: advice.map { "\($0) (\(name))" } ?? name)
  }
}

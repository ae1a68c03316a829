import Foundation
import Terminal

/// What a model is beside its weights, whatever kind of model it is: what a checkpoint says of it.
public enum Card: Codable, Equatable, Sendable {
  case transformer(ModelCard)
  case tokenizer(TokenizerCard)

  /// The kinds of models that have one, by the names that stand in JSON.
  enum Kind: String, Codable {
    case transformer, tokenizer
  }

  private enum CodingKeys: String, CodingKey {
    case kind
  }

  var kind: Kind {
    switch self {
    case .transformer: .transformer
    case .tokenizer: .tokenizer
    }
  }

  /// What a vision transformer is; nil for other models.
  public var transformer: ModelCard? {
    if case .transformer(let card) = self { card } else { nil }
  }

  /// What a tokenizer is; nil for other models.
  public var tokenizer: TokenizerCard? {
    if case .tokenizer(let card) = self { card } else { nil }
  }

  /// The kind stands beside the keys of the kind's own card.
  public init(from decoder: any Decoder) throws {
    self =
      switch try decoder.container(keyedBy: CodingKeys.self).decode(Kind.self, forKey: .kind) {
      case .transformer: .transformer(try ModelCard(from: decoder))
      case .tokenizer: .tokenizer(try TokenizerCard(from: decoder))
      }
  }

  public func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: CodingKeys.self)
    try container.encode(kind, forKey: .kind)
    switch self {
    case .transformer(let card): try card.encode(to: encoder)
    case .tokenizer(let card): try card.encode(to: encoder)
    }
  }

  /// One line of JSON, its keys sorted.
  public func json() throws -> String { try JSONText.encode(self) }

  /// Reads what `json` writes.
  ///
  /// - Throws: `ModelCardError` where it is something else, or of a transformer that cannot be. Whether a tokenizer can
  ///   be, its family knows.
  public init(json: String) throws {
    do {
      self = try JSONDecoder().decode(Card.self, from: Data(json.utf8))
    } catch let error as DecodingError {
      throw ModelCardError(error)
    }
    try transformer?.validate()
  }
}

/// Why a text is no model card.
public struct ModelCardError: Error, CustomStringConvertible, Equatable {
  public let description: String

  package init(_ description: String) { self.description = description }

  init(_ error: DecodingError) {
    func place(_ path: [any CodingKey]) -> String {
      path.isEmpty ? "it" : path.map { $0.intValue.map(String.init) ?? $0.stringValue }.joined(separator: ".")
    }
    switch error {
    case .keyNotFound(let key, let context):
      description = "\(place(context.codingPath + [key])) is missing"
    case .typeMismatch(let type, let context), .valueNotFound(let type, let context):
      description = "\(place(context.codingPath)) is no \(type)"
    case .dataCorrupted(let context):
      description =
        context.codingPath.isEmpty
        ? "it is not JSON" : "\(place(context.codingPath)) has a value that is not known"
    @unknown default: description = "\(error)"
    }
  }
}

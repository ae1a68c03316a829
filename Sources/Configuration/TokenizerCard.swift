import Foundation
import Imaging
import Models

/// What a tokenizer is beside its weights: its family, the network, and how images are shown to it.
///
/// Checkpoints carry it as JSON; docs/formats.md has the keys.
public struct TokenizerCard: Codable, Equatable, Sendable {
  /// The name of the family, `model.kind` in configurations. It alone knows the type of the network's description.
  public let family: String
  /// How images are shown to it.
  public let preprocessing: Preprocessing
  private let architecture: JSONValue

  /// How images are shown to a tokenizer: always as squares of the size of its architecture, with values from -1 to 1.
  public struct Preprocessing: Codable, Equatable, Sendable {
    /// How images were resized in training.
    public var interpolation: ResampleFilter

    public init(interpolation: ResampleFilter = .bicubic) { self.interpolation = interpolation }

    /// As a run shows them in training.
    public init(_ data: DataConfiguration) { interpolation = data.interpolation }
  }

  /// The card of a tokenizer of a family.
  public init(
    family: String, _ architecture: some TokenizerArchitecture,
    _ preprocessing: Preprocessing = Preprocessing()
  ) throws {
    self.family = family
    self.preprocessing = preprocessing
    self.architecture = try JSONDecoder().decode(
      JSONValue.self, from: JSONEncoder().encode(architecture))
  }

  /// The network, as its family describes it.
  ///
  /// - Throws: `ModelCardError` where the card says something else, or a network that cannot be.
  public func architecture<Architecture: TokenizerArchitecture>(
    as type: Architecture.Type = Architecture.self
  ) throws -> Architecture {
    do {
      let result = try JSONDecoder().decode(
        TypedCard<Architecture>.self, from: JSONEncoder().encode(self)
      ).architecture
      try result.validate()
      return result
    } catch let error as DecodingError {
      throw ModelCardError(error)
    } catch let error as TokenizerConfigurationError {
      throw ModelCardError("\(error)")
    }
  }
}

/// The whole card, so that errors name the whole path of a key.
private struct TypedCard<Architecture: Decodable>: Decodable {
  let architecture: Architecture
}

/// A value of JSON whose type another module knows.
private enum JSONValue: Codable, Equatable, Sendable {
  case null
  case bool(Bool)
  case integer(Int)
  case number(Double)
  case string(String)
  case array([JSONValue])
  case object([String: JSONValue])

  /// Values of families lie two deep. Each try of a type costs the whole way to the value, so that a card of a kilobyte
  /// that lies hundreds deep took seconds.
  private static let deepest = 16

  init(from decoder: any Decoder) throws {
    guard decoder.codingPath.count <= Self.deepest else {
      throw DecodingError.dataCorrupted(
        .init(codingPath: Array(decoder.codingPath.prefix(2)), debugDescription: "lies too deep"))
    }
    let value = try decoder.singleValueContainer()
    if value.decodeNil() {
      self = .null
    } else if let bool = try? value.decode(Bool.self) {
      self = .bool(bool)
    } else if let integer = try? value.decode(Int.self) {
      self = .integer(integer)
    } else if let number = try? value.decode(Double.self) {
      self = .number(number)
    } else if let string = try? value.decode(String.self) {
      self = .string(string)
    } else if var values = try? decoder.unkeyedContainer() {
      var array: [JSONValue] = []
      while !values.isAtEnd { array.append(try values.decode(JSONValue.self)) }
      self = .array(array)
    } else {
      self = .object(try value.decode([String: JSONValue].self))
    }
  }

  func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    switch self {
    case .null: try container.encodeNil()
    case .bool(let bool): try container.encode(bool)
    case .integer(let integer): try container.encode(integer)
    case .number(let number): try container.encode(number)
    case .string(let string): try container.encode(string)
    case .array(let array): try container.encode(array)
    case .object(let object): try container.encode(object)
    }
  }
}

import Foundation

/// One JSON object on one line, its keys in the order in which they are added.
public struct JSONObject: Sendable {
  private var members: [String] = []

  /// An object without members.
  public init() {}

  /// Adds a number with nine significant digits, which is enough to tell any two float32 apart. What is not
  /// finite becomes `null`: JSON has no word for it.
  public mutating func append(_ key: String, _ value: Double) { add(key, Self.number(value)) }

  /// Adds a whole number.
  public mutating func append(_ key: String, _ value: Int) { add(key, String(value)) }

  /// Adds a truth value.
  public mutating func append(_ key: String, _ value: Bool) { add(key, value ? "true" : "false") }

  /// Adds a text.
  public mutating func append(_ key: String, _ value: String) { add(key, Self.quoted(value)) }

  /// Adds an object.
  public mutating func append(_ key: String, _ value: JSONObject) { add(key, value.text) }

  /// Adds a list of numbers.
  public mutating func append(_ key: String, _ values: [Double]) {
    add(key, "[" + values.map(Self.number).joined(separator: ", ") + "]")
  }

  /// Adds a list of objects.
  public mutating func append(_ key: String, _ values: [JSONObject]) {
    add(key, "[" + values.map(\.text).joined(separator: ", ") + "]")
  }

  /// Adds `null`.
  public mutating func appendNull(_ key: String) { add(key, "null") }

  /// The object as JSON.
  public var text: String { "{" + members.joined(separator: ", ") + "}" }

  private mutating func add(_ key: String, _ value: String) {
    members.append("\(Self.quoted(key)): \(value)")
  }

  private static func number(_ value: Double) -> String {
    value.isFinite ? String(format: "%.9g", value) : "null"
  }

  /// A text in double quotes.
  package static func quoted(_ text: String) -> String {
    var result = "\""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\"": result += "\\\""
      case "\\": result += "\\\\"
      case "\n": result += "\\n"
      case "\t": result += "\\t"
      case _ where scalar.value < 0x20 || scalar.value == 0x7F:
        result += String(format: "\\u%04x", scalar.value)
      default: result.unicodeScalars.append(scalar)
      }
    }
    return result + "\""
  }
}

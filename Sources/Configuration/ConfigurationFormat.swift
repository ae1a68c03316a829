import Foundation
import Terminal
import Yams

/// Which numbers are allowed.
public struct Bounds<Number: Comparable & Sendable>: Sendable {
  let description: String
  let contains: @Sendable (Number) -> Bool

  /// Every number.
  public static var any: Bounds { Bounds(description: "", contains: { _ in true }) }
  /// `least` and more.
  public static func atLeast(_ least: Number) -> Bounds {
    Bounds(description: " of at least \(least)", contains: { $0 >= least })
  }
  /// More than `limit`.
  public static func above(_ limit: Number) -> Bounds {
    Bounds(description: " above \(limit)", contains: { $0 > limit })
  }
  /// `low` to `high`, both included.
  public static func between(_ low: Number, _ high: Number) -> Bounds {
    Bounds(description: " from \(low) to \(high)", contains: { $0 >= low && $0 <= high })
  }
  /// `low` included, `high` not.
  public static func from(_ low: Number, below high: Number) -> Bounds {
    Bounds(description: " from \(low) to below \(high)", contains: { $0 >= low && $0 < high })
  }
}

extension Bounds where Number == Double {
  /// Passes over the data, or part of one; neither so many nor so few that steps could not be counted.
  public static func epochs(from least: Double = 1e-6) -> Bounds { .between(least, 1e6) }
}

/// A kind of value a key may have: how it is read from YAML, written to it, and called in messages.
public struct ConfigurationFormat<Value: Sendable>: Sendable {
  let expected: String
  /// What stands in for a value that could not be read, until the errors are reported.
  let placeholder: Value
  let parse: @Sendable (Node) -> Value?
  let render: @Sendable (Value) -> String
}

extension ConfigurationFormat where Value == Int {
  /// A whole number.
  public static func int(_ bounds: Bounds<Int> = .any) -> Self {
    Self(
      expected: "a whole number" + bounds.description, placeholder: 1,
      parse: { node in
        node.plainText.flatMap { Int($0.replacingOccurrences(of: "_", with: "")) }
          .flatMap { bounds.contains($0) ? $0 : nil }
      }, render: { String($0) })
  }

  /// The side of a square image in pixels.
  public static var imageSide: Self { .int(.between(8, 4096)) }
}

extension ConfigurationFormat where Value == UInt64 {
  /// A seed: a whole number from 0 on.
  public static var seed: Self {
    Self(
      expected: "a whole number from 0 to \(UInt64.max)", placeholder: 0,
      parse: { $0.plainText.flatMap { UInt64($0) } }, render: { String($0) })
  }
}

extension ConfigurationFormat where Value == Double {
  /// A finite number.
  public static func double(_ bounds: Bounds<Double> = .any) -> Self {
    Self(
      expected: "a number" + bounds.description, placeholder: 1,
      parse: { node in
        guard let text = node.plainText?.replacingOccurrences(of: "_", with: ""),
          text.allSatisfy({ $0.isASCII && ($0.isNumber || "+-.eE".contains($0)) }),
          let value = Double(text.hasSuffix(".") ? text + "0" : text), value.isFinite
        else { return nil }
        return bounds.contains(value) ? value : nil
      },
      render: { $0 == $0.rounded() && abs($0) < 1e15 ? String(Int64($0)) : "\($0)" })
  }
}

extension ConfigurationFormat where Value == Bool {
  /// `true` or `false`.
  public static var bool: Self {
    Self(
      expected: "true or false", placeholder: false,
      parse: { node in
        switch node.plainText?.lowercased() {
        case "true", "yes", "on": true
        case "false", "no", "off": false
        default: nil
        }
      }, render: { String($0) })
  }
}

extension ConfigurationFormat where Value == String {
  /// A text that is not empty, such as a path.
  public static func text(_ expected: String = "a text") -> Self {
    Self(
      expected: expected, placeholder: "",
      parse: { node in
        guard case .scalar(let scalar) = node, !scalar.string.isEmpty, !node.isNull else { return nil }
        return scalar.string
      }, render: quoted)
  }
}

extension ConfigurationFormat where Value == String {
  /// One of some words.
  public static func choice(of words: [String]) -> Self {
    Self(
      expected: "one of " + words.joined(separator: ", "), placeholder: words.first ?? "",
      parse: { $0.scalar.flatMap { words.contains($0.string) ? $0.string : nil } }, render: quoted)
  }
}

extension ConfigurationFormat
where Value: CaseIterable & RawRepresentable, Value.RawValue == String, Value.AllCases: Sendable {
  /// One of an enumeration's words.
  public static func choice(_ type: Value.Type = Value.self) -> Self {
    let words = Value.allCases.map(\.rawValue)
    return Self(
      expected: "one of " + words.joined(separator: ", "),
      placeholder: Value.allCases.first ?? { preconditionFailure("an enumeration without cases") }(),
      parse: { $0.scalar.flatMap { Value(rawValue: $0.string) } }, render: { quoted($0.rawValue) })
  }
}

extension ConfigurationFormat {
  /// A list of values of one format; of `count` values, or of one and more.
  public static func list<Element>(of format: ConfigurationFormat<Element>, count: Int? = nil) -> Self
  where Value == [Element] {
    let number = count.map { "\($0) values" } ?? "one value or more"
    return Self(
      expected: "a list of \(number), each \(format.expected)",
      placeholder: Array(repeating: format.placeholder, count: count ?? 1),
      parse: { node in
        guard case .sequence(let sequence) = node, !sequence.isEmpty, count == nil || sequence.count == count
        else { return nil }
        let values = sequence.compactMap(format.parse)
        return values.count == sequence.count ? values : nil
      }, render: { "[" + $0.map(format.render).joined(separator: ", ") + "]" })
  }
}

/// A text as YAML: plain where nothing else could be meant, in double quotes otherwise.
@Sendable private func quoted(_ text: String) -> String {
  let isPlain =
    text.first.map { $0.isASCII && ($0.isLetter || "/._".contains($0)) } ?? false
    && text.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber || "/._-+@=".contains($0)) }
    && text.contains { $0.isLetter }
  let meansSomethingElse =
    ["true", "false", "yes", "no", "on", "off", "null", "y", "n"].contains(text.lowercased())
    || [".inf", ".nan"].contains(text.lowercased()) || Double(text) != nil
  // A text in JSON is one in YAML.
  return isPlain && !meansSomethingElse ? text : JSONObject.quoted(text)
}

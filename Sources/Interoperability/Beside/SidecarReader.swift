import Foundation
import Storage
import Terminal

/// Reads a file of JSON beside weights strictly: every key is taken up, or agrees with the weights, or is known to change
/// nothing; any other is a problem, and so is a value of another kind. Problems gather, and are told together.
final class SidecarReader {
  private let object: [String: Any]
  private let place: String
  private let exceptions: Set<String>
  private var known: Set<String> = []
  /// What is wrong, a clause each.
  private(set) var problems: [String] = []
  /// What is said there and done otherwise here.
  private(set) var notes: [String] = []
  private var sections: [SidecarReader] = []

  /// - Parameters:
  ///   - object: What stands in the file.
  ///   - place: What stands before the keys in messages.
  ///   - exceptions: Keys that are left out of account.
  init(_ object: [String: Any], place: String = "", ignoring exceptions: Set<String> = []) {
    self.object = object.filter { !($0.value is NSNull) }
    self.place = place
    self.exceptions = exceptions
  }

  /// Whether something is said under a key.
  func has(_ key: String) -> Bool { object[key] != nil && !isExcepted(key) }

  private func isExcepted(_ key: String) -> Bool {
    exceptions.contains(key) || exceptions.contains(place + key)
  }

  /// Tells of a problem with a key.
  func refuse(_ key: String, _ problem: String) {
    known.insert(key)
    if has(key) { problems.append("'\(place)\(key)' \(problem)") }
  }

  /// Tells of what a key says and is done otherwise.
  func note(_ key: String, _ text: String) { notes.append("'\(place)\(key)' \(text)") }

  private func value<Value>(_ key: String, _ kind: String, _ convert: (Any) -> Value?) -> Value? {
    known.insert(key)
    guard has(key), let found = object[key] else { return nil }
    guard let value = convert(found) else {
      problems.append("'\(place)\(key)' is \(Self.text(found)), expected \(kind)")
      return nil
    }
    return value
  }

  func integer(_ key: String) -> Int? {
    value(key, "a whole number") { Self.number($0).flatMap { Int(exactly: $0) } }
  }

  func number(_ key: String) -> Double? { value(key, "a number", Self.number) }

  func flag(_ key: String) -> Bool? {
    value(key, "true or false") { found in
      (found as? NSNumber).flatMap { Self.isFlag($0) ? $0.boolValue : nil }
    }
  }

  func text(_ key: String) -> String? { value(key, "a text") { $0 as? String } }

  /// A number for each of three channels; one alone is for all.
  func channels(_ key: String) -> [Double]? {
    value(key, "three numbers") { found in
      if let number = Self.number(found) { return [number, number, number] }
      guard let list = found as? [Any] else { return nil }
      let numbers = list.compactMap(Self.number)
      return numbers.count == 3 && list.count == 3 ? numbers : nil
    }
  }

  /// The numbers of a list, or one alone, or those under some keys of an object, in the order of the keys.
  func sides(_ key: String, _ keys: [String] = []) -> [Int]? {
    value(key, "numbers of pixels") { found in
      if let number = Self.number(found) { return Int(exactly: number).map { [$0] } }
      let list =
        found as? [Any] ?? (found as? [String: Any]).map { object in keys.compactMap { object[$0] } } ?? []
      let sides = list.compactMap(Self.number).compactMap { Int(exactly: $0) }
      return !sides.isEmpty && sides.count == list.count ? sides : nil
    }
  }

  /// The names of a list, or of an object in the order of its numbers, which begin with 0 and leave none out.
  func names(_ key: String) -> [String]? {
    value(key, "a name for every number from 0 on") { found in
      if let list = found as? [String] { return list }
      guard let numbered = found as? [String: String] else { return nil }
      let list = (0..<numbered.count).compactMap { numbered["\($0)"] }
      return list.count == numbered.count ? list : nil
    }
  }

  /// An object of its own under a key; its problems are this one's.
  func section(_ key: String) -> SidecarReader? {
    guard let inner = value(key, "an object", { $0 as? [String: Any] }) else { return nil }
    let reader = SidecarReader(inner, place: "\(place)\(key).", ignoring: exceptions)
    sections.append(reader)
    return reader
  }

  /// What stands under a key as it is.
  func any(_ key: String) -> Any? { value(key, "") { $0 } }

  /// Keys that change nothing of what is computed.
  func ignore(_ keys: String...) { known.formUnion(keys) }

  /// Demands that a number is the one that the weights have; nil where these do not tell.
  func agree(_ key: String, with found: Int?) {
    guard let said = integer(key), let found, said != found else { return }
    problems.append("'\(place)\(key)' is \(said), but the weights have \(found)")
  }

  /// Demands that a flag is what the weights have.
  func agree(_ key: String, with found: Bool) {
    guard let said = flag(key), said != found else { return }
    problems.append(
      "'\(place)\(key)' is \(said), but the weights \(found ? "are made otherwise" : "have none")")
  }

  /// Demands that a word is one of those that mean what is computed here.
  func require(_ key: String, _ words: [String]) {
    guard let said = text(key), !words.contains(said) else { return }
    problems.append(
      "'\(place)\(key)' is '\(said)', peco computes \(words.map { "'\($0)'" }.joined(separator: " or "))")
  }

  /// Demands that a flag, if it is given, says what is done here.
  func require(_ key: String, _ wanted: Bool) {
    guard let said = flag(key), said != wanted else { return }
    problems.append("'\(place)\(key)' is \(said), peco computes as where it is \(wanted)")
  }

  /// All problems, unknown keys among them.
  func allProblems() -> [String] {
    let unknown = object.keys.filter { !known.contains($0) && !isExcepted($0) }.sorted().map {
      "'\(place)\($0)' is \(Self.text(object[$0] ?? "")), which peco does not know"
    }
    return problems + unknown + sections.flatMap { $0.allProblems() }
  }

  /// All notes.
  func allNotes() -> [String] { notes + sections.flatMap { $0.allNotes() } }

  // MARK: - Values

  /// Tells `true` from 1, which a cast does not.
  private static func isFlag(_ number: NSNumber) -> Bool { String(cString: number.objCType) == "c" }

  private static func number(_ value: Any) -> Double? {
    guard let number = value as? NSNumber, !isFlag(number) else { return nil }
    return number.doubleValue
  }

  /// A value as JSON, shortened.
  private static func text(_ value: Any) -> String {
    let data = try? JSONSerialization.data(
      withJSONObject: value, options: [.sortedKeys, .fragmentsAllowed, .withoutEscapingSlashes])
    let text = data.map { String(decoding: $0, as: UTF8.self) } ?? "\(value)"
    return text.count > 60 ? text.prefix(57) + "…" : text
  }
}

import Foundation
import Yams

/// A value of the configuration before anybody has asked for it, and where it came from.
struct ConfigurationEntry {
  let node: Node
  let source: String
  let line: Int?
  /// Whether it came from `--set` rather than from the file.
  let isOverride: Bool

  func issue(_ key: String, _ problem: String) -> ConfigurationError.Issue {
    ConfigurationError.Issue(source: source, line: line, key: key, problem: problem)
  }
}

/// A YAML text and the `--set` options over it as one flat list of key paths.
struct ConfigurationSource {
  let name: String
  private(set) var entries: [String: ConfigurationEntry] = [:]
  private(set) var issues: [ConfigurationError.Issue] = []

  init(yaml: String, name: String, overrides: [String]) throws {
    self.name = name
    switch try Self.parse(yaml, source: name) {
    case .none: break
    case .mapping(let mapping): add(mapping, under: "", source: name, isOverride: false)
    case .some(let node):
      let line = node.mark?.line
      issues.append(
        .init(source: name, line: line, problem: "found \(describe(node)), expected sections of keys"))
    }
    for override in overrides { try apply(override) }
  }

  /// Makes a key count as never given.
  mutating func remove(_ key: String) { entries[key] = nil }

  private mutating func apply(_ override: String) throws {
    let source = "--set \(override)"
    guard let equals = override.firstIndex(of: "="), equals != override.startIndex else {
      issues.append(.init(source: source, problem: "expected key.path=value"))
      return
    }
    let key = override[..<equals].trimmingCharacters(in: .whitespaces)
    let node = try Self.parse(String(override[override.index(after: equals)...]), source: source)
    // A section that is set replaces what the file has in it.
    for present in entries.keys where present == key || present.hasPrefix(key + ".") {
      entries[present] = nil
    }
    add(node ?? Node("null", .implicit, .plain), at: key, line: nil, source: source, isOverride: true)
  }

  private mutating func add(
    _ mapping: Node.Mapping, under section: String, source: String, isOverride: Bool
  ) {
    for (keyNode, value) in mapping {
      let line = isOverride ? nil : keyNode.mark?.line
      guard case .scalar(let scalar) = keyNode else {
        let key = section.isEmpty ? nil : section
        issues.append(.init(source: source, line: line, key: key, problem: "a key must be a word"))
        continue
      }
      let path = section.isEmpty ? scalar.string : "\(section).\(scalar.string)"
      add(value, at: path, line: line, source: source, isOverride: isOverride)
    }
  }

  private mutating func add(_ node: Node, at path: String, line: Int?, source: String, isOverride: Bool) {
    if case .mapping(let inner) = node, !inner.isEmpty {
      return add(inner, under: path, source: source, isOverride: isOverride)
    }
    let entry = ConfigurationEntry(node: node, source: source, line: line, isOverride: isOverride)
    if !isOverride, let earlier = entries[path] {
      issues.append(entry.issue(path, "given twice" + (earlier.line.map { ", first in line \($0)" } ?? "")))
    }
    entries[path] = entry
  }

  /// Aliases of aliases make a text of a few lines one of billions of values; with these few they cannot.
  private static let mostAliases = 30

  /// How many aliases (`*name`) a text has at most: what stands in comments and texts is counted too.
  private static func aliases(in yaml: String) -> Int {
    var (count, isStart, isStar) = (0, true, false)
    for byte in yaml.utf8 {
      if isStar, byte > 0x20 { count += 1 }
      isStar = isStart && byte == UInt8(ascii: "*")
      isStart = byte <= 0x20 || "[{,:?-".utf8.contains(byte)
    }
    return count
  }

  private static func parse(_ yaml: String, source: String) throws -> Node? {
    guard aliases(in: yaml) <= mostAliases else {
      throw ConfigurationError([
        .init(source: source, problem: "has more than \(mostAliases) aliases (*name); write their values out")
      ])
    }
    do {
      return try Yams.compose(yaml: yaml)
    } catch let error as YamlError {
      let (problem, line) = explain(error)
      throw ConfigurationError([.init(source: source, line: line, problem: problem)])
    }
  }

  private static func explain(_ error: YamlError) -> (problem: String, line: Int?) {
    switch error {
    case .scanner(_, let problem, let mark, _), .parser(_, let problem, let mark, _),
      .composer(_, let problem, let mark, _):
      return ("not valid YAML: \(problem)", mark.line)
    case .duplicatedKeysInMapping(let duplicates, let context):
      let keys = duplicates.map { "'\($0)'" }.joined(separator: ", ")
      return ("the key \(keys) is given twice", context.mark.line)
    case .reader(let problem, _, _, _): return ("not valid YAML: \(problem)", nil)
    default: return ("not valid YAML: \(error)", nil)
    }
  }
}

/// A node in the words of an error message.
func describe(_ node: Node) -> String {
  switch node {
  case .scalar(let scalar):
    if node.isNull { return "nothing" }
    return scalar.style == .plain ? "'\(scalar.string)'" : "the text \"\(scalar.string)\""
  case .sequence(let sequence):
    let parts = sequence.prefix(8).map { $0.scalar?.string ?? "…" }
    return "the list [\(parts.joined(separator: ", "))\(sequence.count > 8 ? ", …" : "")]"
  case .mapping: return "a section"
  case .alias: return "an alias"
  }
}

extension Node {
  /// Whether the value is empty or `null`.
  var isNull: Bool {
    guard case .scalar(let scalar) = self, scalar.style == .plain || scalar.style == .any else {
      return false
    }
    return ["", "null", "~", "Null", "NULL"].contains(scalar.string)
  }

  /// The text of a scalar that is not quoted.
  var plainText: String? {
    guard case .scalar(let scalar) = self, scalar.style == .plain || scalar.style == .any else { return nil }
    return scalar.string
  }
}

import Storage
import Yams

/// Reads a YAML configuration strictly: every key must be known, and of the format asked for.
///
/// Asking does not throw: problems gather, and `finish` throws them all at once. What was asked for, with the
/// defaults filled in, is the resolved configuration.
///
///     let reader = try ConfigurationReader(file: "run.yaml", overrides: ["training.steps=10"])
///     let steps = reader.value("training.steps", .int(.atLeast(1)), default: 100)
///     let norm = reader.optional("optimizer.clip_gradient_norm", .double(.above(0)))
///     let yaml = try reader.finish()
public final class ConfigurationReader {
  private var source: ConfigurationSource
  private var issues: [ConfigurationError.Issue] = []
  private var resolved: [(key: String, value: String)] = []
  private var known: Set<String> = []
  /// Keys that are given as `null` where that is something else than leaving them out.
  private var nulls: Set<String> = []

  /// Reads a file.
  ///
  /// - Parameters:
  ///   - path: The file.
  ///   - overrides: `key.path=value` each, the value in YAML; they win over the file, later ones over earlier ones.
  /// - Throws: `ConfigurationError` when the file cannot be read or is not YAML.
  public convenience init(file path: String, overrides: [String] = []) throws {
    let text: String
    do {
      text = try FileSystem.readText(path)
    } catch let error as StorageError {
      let advice = error.advice.map { "; \($0)" } ?? ""
      throw ConfigurationError([.init(source: path, problem: error.problem + advice)])
    }
    try self.init(yaml: text, source: path, overrides: overrides)
  }

  /// Reads `--set` options alone, `key.path=value` each.
  public convenience init(overrides: [String]) throws {
    try self.init(yaml: "", source: "--set", overrides: overrides)
  }

  /// Reads a text; `source` is what messages call it.
  public init(yaml: String, source: String = "configuration", overrides: [String] = []) throws {
    self.source = try ConfigurationSource(yaml: yaml, name: source, overrides: overrides)
  }

  /// The value of a key; without a default, the key must be given.
  public func value<Value>(
    _ key: String, _ format: ConfigurationFormat<Value>, default fallback: Value? = nil
  ) -> Value {
    known.insert(key)
    let value: Value
    if let entry = source.entries[key] {
      guard let parsed = format.parse(entry.node) else {
        issues.append(entry.issue(key, "found \(describe(entry.node)), expected \(format.expected)"))
        return fallback ?? format.placeholder
      }
      value = parsed
    } else if let fallback {
      value = fallback
    } else {
      issues.append(.init(source: source.name, key: key, problem: "missing; expected \(format.expected)"))
      return format.placeholder
    }
    resolved.append((key, format.render(value)))
    return value
  }

  /// The value of a key that may be left out or be `null`, which is then nil, unless there is a default for a
  /// key that is left out.
  public func optional<Value>(
    _ key: String, _ format: ConfigurationFormat<Value>, default fallback: Value? = nil
  ) -> Value? {
    if source.entries[key].map({ $0.node.isNull }) ?? (fallback == nil) {
      known.insert(key)
      if fallback != nil { nulls.insert(key) }
      resolved.append((key, "null"))
      return nil
    }
    return value(key, format, default: fallback)
  }

  /// The value of a key, or where it is left out or `null`, the one that is known from elsewhere.
  public func optional<Value>(
    _ key: String, _ format: ConfigurationFormat<Value>, known value: Value?
  ) -> Value? {
    guard let value, !isGiven(key) else { return optional(key, format) }
    known.insert(key)
    resolved.append((key, format.render(value)))
    return value
  }

  /// Sees to it that at most one of several keys is given, and tells which.
  ///
  /// A key given by `--set` puts aside those that the file has. Call before asking for their values, which
  /// then are optional.
  @discardableResult
  public func exclusive(_ keys: [String], required: Bool = false) -> String? {
    known.formUnion(keys)
    func given() -> [String] { keys.filter { source.entries[$0].map { !$0.node.isNull } ?? false } }
    if given().contains(where: { source.entries[$0]?.isOverride ?? false }) {
      for key in given() where source.entries[key]?.isOverride == false { source.remove(key) }
    }
    let present = given()
    let names = keys.joined(separator: ", ")
    if present.count > 1 {
      let problem = "cannot be given together with \(present[0]); give one of \(names)"
      if let entry = source.entries[present[1]] { issues.append(entry.issue(present[1], problem)) }
    } else if required, present.isEmpty {
      issues.append(.init(source: source.name, problem: "missing: one of \(names) must be given"))
    }
    return present.first
  }

  /// Whether a key has been given (and is not `null`).
  public func isGiven(_ key: String) -> Bool { source.entries[key].map { !$0.node.isNull } ?? false }

  /// Demands that values go together. Is looked at only when each of them is sound by itself.
  ///
  /// - Parameters:
  ///   - condition: What must hold.
  ///   - key: The key to complain about.
  ///   - problem: What was found and what is allowed.
  public func require(
    _ condition: @autoclosure () -> Bool, _ key: String, _ problem: @autoclosure () -> String
  ) {
    guard issues.isEmpty, source.issues.isEmpty, !condition() else { return }
    let problem = problem()
    issues.append(
      source.entries[key]?.issue(key, problem) ?? .init(source: source.name, key: key, problem: problem))
  }

  /// Demands that what `--set` gives has an effect: who sets a key waits for what it does. In a file it may wait for
  /// the setting that makes it count.
  ///
  /// Call it after its keys were asked for. A bound that is not reached, such as a size of micro-batches above a
  /// rank's share, has had its effect.
  ///
  /// - Parameters:
  ///   - keys: Keys, or sections of them, that count only under the condition; nil for all.
  ///   - others: Those among them that count all the same.
  ///   - condition: What must hold.
  ///   - needed: The setting that makes them count.
  public func requireEffect(
    of keys: [String]? = nil, except others: [String] = [], _ condition: @autoclosure () -> Bool,
    needed: String
  ) {
    guard issues.isEmpty, source.issues.isEmpty, !condition() else { return }
    func isAmong(_ keys: [String], _ key: String) -> Bool {
      keys.contains { key == $0 || key.hasPrefix($0 + ".") }
    }
    for (key, entry) in source.entries.sorted(by: { $0.key < $1.key })
    where entry.isOverride && known.contains(key) && (!entry.node.isNull || nulls.contains(key))
      && (keys.map { isAmong($0, key) } ?? true)
      && !isAmong(others, key)
    {
      issues.append(entry.issue(key, "has no effect: it takes \(needed)"))
    }
  }

  /// Ends the reading, after everything has been asked for: the resolved configuration as YAML.
  ///
  /// - Throws: `ConfigurationError` with every problem found, keys that nobody asked for among them.
  @discardableResult
  public func finish() throws -> String {
    let problems = source.issues + issues + unknownKeys()
    guard problems.isEmpty else {
      throw ConfigurationError(
        problems.enumerated().sorted {
          ($0.element.line ?? Int.max, $0.offset) < ($1.element.line ?? Int.max, $1.offset)
        }.map(\.element))
    }
    return ResolvedConfiguration.yaml(resolved)
  }

  /// Nobody reads about more, and looking for what each may mean takes its time.
  private static let mostUnknownKeys = 100

  private func unknownKeys() -> [ConfigurationError.Issue] {
    let candidates = known.sorted()
    let sections = Set(
      candidates.flatMap { key in key.indices.filter { key[$0] == "." }.map { String(key[..<$0]) } })
    var issues: [ConfigurationError.Issue] = []
    var count = 0
    for (key, entry) in source.entries.sorted(by: { $0.key < $1.key }) where !known.contains(key) {
      if sections.contains(key) {
        // A section of which every line is a comment is empty, and allowed.
        if entry.node.isNull || entry.node.mapping != nil { continue }
        let inside = candidates.filter { $0.hasPrefix(key + ".") }.map { $0.dropFirst(key.count + 1) }
        issues.append(
          entry.issue(
            key, "found \(describe(entry.node)), expected a section with \(inside.joined(separator: ", "))"))
        continue
      }
      count += 1
      if count <= Self.mostUnknownKeys { issues.append(unknown(key, entry, candidates)) }
    }
    if count > Self.mostUnknownKeys {
      issues.append(
        .init(source: source.name, problem: "\(count - Self.mostUnknownKeys) more keys are unknown"))
    }
    return issues
  }

  private func unknown(
    _ key: String, _ entry: ConfigurationEntry, _ candidates: [String]
  ) -> ConfigurationError.Issue {
    // No key is as long as that.
    if key.utf8.count < 128, let nearest = Spelling.nearest(to: key, among: candidates) {
      return entry.issue(key, "unknown key; did you mean '\(nearest)'?")
    }
    let section = key.split(separator: ".").dropLast().joined(separator: ".")
    let siblings = known.filter { section.isEmpty || $0.hasPrefix(section + ".") }
      .map { section.isEmpty ? String($0.prefix { $0 != "." }) : String($0.dropFirst(section.count + 1)) }
    let place = section.isEmpty || siblings.isEmpty ? "at the top" : "in '\(section)'"
    let allowed =
      siblings.isEmpty ? Set(known.map { String($0.prefix { $0 != "." }) }) : Set(siblings)
    return entry.issue(key, "unknown key; known \(place): \(allowed.sorted().joined(separator: ", "))")
  }
}

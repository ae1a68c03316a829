import Yams

/// Configurations as they are written into a run's directory: every key, with its value.
package enum ResolvedConfiguration {
  /// Key paths and values as nested YAML, in the order in which they were asked for.
  static func yaml(_ values: [(key: String, value: String)]) -> String {
    var text = ""
    write(values.map { ($0.key.split(separator: "."), $0.value) }, indent: "", into: &text)
    return text
  }

  private static func write(
    _ values: [(path: [Substring], value: String)], indent: String, into text: inout String
  ) {
    var written: Set<Substring> = []
    for (path, value) in values where written.insert(path[0]).inserted {
      if path.count == 1 {
        text += "\(indent)\(path[0]): \(value)\n"
      } else {
        text += "\(indent)\(path[0]):\n"
        let inside = values.filter { $0.path[0] == path[0] }.map { (Array($0.path.dropFirst()), $0.value) }
        write(inside, indent: indent + "  ", into: &text)
      }
    }
  }

  /// The keys and values that changed from one such text to another, as "key: old → new"; nothing where the earlier one
  /// is not YAML.
  package static func differences(from old: String, to new: String) -> [String] {
    guard let before = try? leaves(old), let after = try? leaves(new) else { return [] }
    return Set(before.keys).union(after.keys).sorted().compactMap { key in
      before[key] == after[key] ? nil : "\(key): \(before[key] ?? "—") → \(after[key] ?? "—")"
    }
  }

  /// The values as they are written, by their key paths.
  private static func leaves(_ yaml: String) throws -> [String: String] {
    func text(_ node: Node) -> String {
      node.sequence.map { "[\($0.map(text).joined(separator: ", "))]" } ?? node.scalar?.string ?? "…"
    }
    return try ConfigurationSource(yaml: yaml, name: "config.yaml", overrides: []).entries.mapValues {
      text($0.node)
    }
  }
}

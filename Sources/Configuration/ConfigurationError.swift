/// Everything that is wrong with a configuration, all at once.
public struct ConfigurationError: Error, CustomStringConvertible, Equatable, Sendable {
  /// One thing that is wrong.
  public struct Issue: CustomStringConvertible, Equatable, Sendable {
    /// The file, or the `--set` option, that the value came from.
    public let source: String
    /// Line in the file, from 1, if it is known.
    public let line: Int?
    /// Full path of the key, such as `optimizer.learning_rate`; nil when the file as a whole is concerned.
    public let key: String?
    /// What was found and what is allowed.
    public let problem: String

    public init(source: String, line: Int? = nil, key: String? = nil, problem: String) {
      self.source = source
      self.line = line
      self.key = key
      self.problem = problem
    }

    public var description: String {
      source + (line.map { ":\($0)" } ?? "") + ": " + (key.map { "\($0): " } ?? "") + problem
    }
  }

  /// What is wrong, in the order of the file.
  public let issues: [Issue]

  public init(_ issues: [Issue]) { self.issues = issues }

  public var description: String {
    if issues.count == 1 { return issues[0].description }
    return "\(issues.count) problems in the configuration:\n"
      + issues.map { "  \($0)" }.joined(separator: "\n")
  }
}

/// Finds the word that a mistyped one was meant to be.
enum Spelling {
  /// The candidate nearest to `word`, unless all are too far off to be meant.
  ///
  /// For key paths, one whose last part is the same under another section counts as very near.
  static func nearest(to word: String, among candidates: some Sequence<String>) -> String? {
    let last = word.split(separator: ".").last
    var best: (candidate: String, distance: Int)?
    for candidate in candidates {
      var distance = self.distance(word, candidate)
      if let last, candidate != word, candidate.split(separator: ".").last == last {
        distance = min(distance, 1)
      }
      if distance < best?.distance ?? Int.max { best = (candidate, distance) }
    }
    guard let best, best.distance <= max(2, word.count / 3) else { return nil }
    return best.candidate
  }

  /// Number of letters to insert, delete, replace or swap with their neighbor (Damerau and Levenshtein).
  static func distance(_ first: String, _ second: String) -> Int {
    let (a, b) = (Array(first.utf8), Array(second.utf8))
    var rows = [Array(0...b.count)]
    for i in 0..<a.count {
      var row = [i + 1]
      for j in 0..<b.count {
        var cost = min(rows[i][j + 1] + 1, row[j] + 1, rows[i][j] + (a[i] == b[j] ? 0 : 1))
        if i > 0, j > 0, a[i] == b[j - 1], a[i - 1] == b[j] { cost = min(cost, rows[i - 1][j - 1] + 1) }
        row.append(cost)
      }
      rows.append(row)
    }
    return rows[a.count][b.count]
  }
}

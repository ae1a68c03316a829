import Configuration
import Testing

@Suite struct ConfigurationReaderTests {
  private func issues(_ yaml: String, _ overrides: [String] = [], _ ask: (ConfigurationReader) -> Void)
    -> [ConfigurationError.Issue]
  {
    do {
      let reader = try ConfigurationReader(yaml: yaml, source: "run.yaml", overrides: overrides)
      ask(reader)
      try reader.finish()
      return []
    } catch let error as ConfigurationError {
      return error.issues
    } catch {
      Issue.record("unexpected error \(error)")
      return []
    }
  }

  @Test func readsEveryForm() throws {
    let reader = try ConfigurationReader(
      yaml: """
        a: {count: 1_000, rate: 5e-5, whole: 3, flag: yes, path: /data/x.h5, list: [0.9, 1]}
        b.c: cosine
        empty:
        """)
    #expect(reader.value("a.count", .int(.atLeast(1))) == 1000)
    #expect(reader.value("a.rate", .double(.above(0))) == 5e-5)
    #expect(reader.value("a.whole", .double()) == 3)
    #expect(reader.value("a.flag", .bool))
    #expect(reader.value("a.path", .text()) == "/data/x.h5")
    #expect(reader.value("a.list", .list(of: .double(), count: 2)) == [0.9, 1])
    #expect(reader.value("b.c", .choice(OptimizerConfiguration.Shape.self)) == .cosine)
    #expect(reader.value("b.default", .int(), default: 7) == 7)
    #expect(reader.optional("b.nothing", .int()) == nil)
    #expect(reader.optional("empty.inside", .int(), default: 2) == 2)
    let resolved = try reader.finish()
    #expect(
      resolved == """
        a:
          count: 1000
          rate: 5e-05
          whole: 3
          flag: true
          path: /data/x.h5
          list: [0.9, 1]
        b:
          c: cosine
          default: 7
          nothing: null
        empty:
          inside: 2

        """)
  }

  @Test func reportsAllProblemsWithPlaceAndAlternatives() {
    let found = issues(
      """
      optimizer:
        learning_rte: 0.1
        steps: 1.5
        kind: cosin
      training: 5
      """
    ) { reader in
      _ = reader.value("optimizer.learning_rate", .double(.above(0)), default: 1)
      _ = reader.value("optimizer.steps", .int(.between(1, 9)), default: 1)
      _ = reader.value("optimizer.kind", .choice(OptimizerConfiguration.Shape.self), default: .cosine)
      _ = reader.value("training.steps", .int(), default: 1)
      _ = reader.value("data.path", .text("a path"))
    }
    #expect(
      found.map(\.description) == [
        "run.yaml:2: optimizer.learning_rte: unknown key; did you mean 'optimizer.learning_rate'?",
        "run.yaml:3: optimizer.steps: found '1.5', expected a whole number from 1 to 9",
        "run.yaml:4: optimizer.kind: found 'cosin', expected one of cosine, constant, linear",
        "run.yaml:5: training: found '5', expected a section with steps",
        "run.yaml: data.path: missing; expected a path",
      ])
  }

  @Test(arguments: ["'12'", "12:30", "true", "[1]", "{a: 1}", "1e3", "0x10", "", "nan"])
  func refusesWhatIsNoWholeNumber(_ text: String) {
    #expect(!issues("n: \(text)") { _ = $0.value("n", .int(), default: 0) }.isEmpty)
  }

  @Test(arguments: ["'1.5'", "nan", ".inf", "1e999", "0x1p3", "infinity", "one", "[1.0]"])
  func refusesWhatIsNoFiniteNumber(_ text: String) {
    #expect(!issues("n: \(text)") { _ = $0.value("n", .double(), default: 0) }.isEmpty)
  }

  @Test func overridesWinAndAreNamedInErrors() throws {
    let reader = try ConfigurationReader(
      yaml: "a: {b: 1, c: 2}", overrides: ["a.b=3", "list=[1, 2]", "a.b=4", "s={x: 5}"])
    #expect(reader.value("a.b", .int()) == 4)
    #expect(reader.value("a.c", .int()) == 2)
    #expect(reader.value("list", .list(of: .int())) == [1, 2])
    #expect(reader.value("s.x", .int()) == 5)
    try reader.finish()

    let found = issues("a: 1", ["a=x", "c.d=1", "nonsense"]) { _ = $0.value("a", .int()) }
    #expect(
      Set(found.map(\.description)) == [
        "--set a=x: a: found 'x', expected a whole number",
        "--set c.d=1: c.d: unknown key; known at the top: a",
        "--set nonsense: expected key.path=value",
      ])
  }

  @Test func exclusiveKeys() {
    let ask: (ConfigurationReader) -> Void = { reader in
      reader.exclusive(["t.steps", "t.epochs"], required: true)
      _ = reader.optional("t.steps", .int())
      _ = reader.optional("t.epochs", .int())
    }
    #expect(
      issues("t: {steps: 1, epochs: 2}", [], ask).map(\.problem) == [
        "cannot be given together with t.steps; give one of t.steps, t.epochs"
      ])
    #expect(issues("t: {steps: 1, epochs: null}", [], ask).isEmpty)
    #expect(issues("t: {}", [], ask).map(\.problem) == ["missing: one of t.steps, t.epochs must be given"])
    #expect(issues("t: {epochs: 3}", ["t.steps=5"], ask).isEmpty)
    #expect(issues("", ["t.steps=5", "t.epochs=5"], ask).count == 1)
  }

  @Test func refusesBrokenYAMLAndMissingFiles() {
    #expect(issues("a: [1, 2") { _ in }.first?.problem.hasPrefix("not valid YAML") == true)
    #expect(issues("a: 1\na: 2") { _ in }.first?.problem == "the key 'a' is given twice")
    #expect(
      issues("a.b: 1\na: {b: 2}") { _ = $0.value("a.b", .int()) }.first?.problem.hasPrefix("given twice")
        == true)
    #expect(issues("- 1\n- 2") { _ in }.first?.problem.contains("expected sections") == true)
    #expect(throws: ConfigurationError.self) { try ConfigurationReader(file: "/nonexistent/x.yaml") }
  }

  @Test(arguments: [
    "plain", "yes", "12", "with space", "quote\"back\\slash", "line\nbreak\ttab", "ü/é", "a: b", "# no",
    "1e5", "-", "~", "\u{1}",
  ])
  func textsSurviveWritingAndReading(_ text: String) throws {
    let first = try ConfigurationReader(yaml: "")
    _ = first.value("a.text", .text(), default: text)
    let second = try ConfigurationReader(yaml: first.finish())
    #expect(second.value("a.text", .text()) == text)
  }

  @Test func ofVeryManyUnknownKeysTheFirstAreTold() {
    let yaml = (0..<20_000).map { "key\($0): 1" }.joined(separator: "\n")
    let found = issues(yaml) { _ = $0.value("a.count", .int(), default: 1) }
    #expect(found.count == 101 && found.last?.problem == "19900 more keys are unknown", "\(found.count)")
  }

  /// Ten lines, of which the last has ten billion values.
  @Test func aliasesOfAliasesAreRefused() {
    let lines = (1...9).map { level in
      "a\(level): &a\(level) [" + (0..<10).map { _ in "*a\(level - 1)" }.joined(separator: ", ") + "]"
    }
    let found = issues((["a0: &a0 {x: 1}"] + lines).joined(separator: "\n")) { _ in }
    #expect(found.count == 1 && found[0].problem.contains("aliases"), "\(found)")
    #expect(
      issues("a: &a {x: 1}\nb: *a") { reader in
        for key in ["a.x", "b.x"] { _ = reader.value(key, .int()) }
      }.isEmpty)
  }
}

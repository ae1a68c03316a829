import Configuration
import Testing

@Suite struct ResolvedConfigurationTests {
  /// As two starts of a run would write it.
  private func resolved(_ yaml: String) throws -> String {
    let reader = try ConfigurationReader(yaml: yaml)
    _ = reader.value("data.path", .text())
    _ = reader.value("data.mean", .list(of: .double()), default: [0.5, 0.5])
    _ = reader.optional("training.steps", .int())
    return try reader.finish()
  }

  @Test func differencesNameKeysAndValues() throws {
    let before = try resolved("data: {path: 'a: b #1'}")
    let after = try resolved("{data: {path: b.h5, mean: [0.25, 1]}, training: {steps: 3}}")
    #expect(ResolvedConfiguration.differences(from: before, to: before) == [])
    #expect(
      ResolvedConfiguration.differences(from: before, to: after) == [
        "data.mean: [0.5, 0.5] → [0.25, 1]", "data.path: a: b #1 → b.h5", "training.steps: null → 3",
      ])
    // Keys come and go with versions.
    #expect(
      ResolvedConfiguration.differences(from: "a: 1", to: "b: {c: 2}") == ["a: 1 → —", "b.c: — → 2"])
    // Who wrote something else into the file has no differences, rather than an error.
    #expect(ResolvedConfiguration.differences(from: "[", to: after) == [])
  }
}

import Tasks
import Testing

@Suite struct RegistryTests {
  /// Several tasks have an accuracy; a report that named it twice would not be sound JSON.
  @Test func headlinesAreThereOnce() {
    let headlines = TaskRegistry.headlines
    #expect(headlines.contains("accuracy") && Set(headlines).count == headlines.count, "\(headlines)")
  }
}

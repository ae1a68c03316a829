import Datasets
import Testing

@Suite struct DatasetErrorTests {
  @Test func callersNameFieldsTheirWay() {
    let hue = message { try SamplePipeline(seed: 0, augmentation: jitter(hue: 1)).validate() }
    #expect(hue.hasPrefix("color jitter (hue): "))
    do {
      try SamplePipeline(seed: 0, augmentation: jitter(hue: 1)).validate()
      Issue.record("hue 1 is impossible")
    } catch {
      let named = (error as? DatasetError)?.named { $0 == .colorJitter ? "jitter.key" : nil }
      #expect(named?.description.hasPrefix("jitter.key (hue): is 1.0") == true)
      #expect((error as? DatasetError)?.named { _ in nil } == error as? DatasetError)
    }
    // A path that begins like a field is still a path.
    let file = DatasetError("dataset.h5", "is none", advice: "make one", field: .dataset)
    #expect(file.named { _ in "make it so" }.description == "dataset.h5: is none; make one (make it so)")
  }

  private func jitter(hue: Float) -> Augmentation { Augmentation(colorJitter: ColorJitterRange(hue: hue)) }
}

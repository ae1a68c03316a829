import Datasets
import Foundation
import Testing

/// Data and images know nothing of command lines and configurations.
@Suite struct WordingTests {
  private static let sources = URL(fileURLWithPath: #filePath)
    .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
    .appendingPathComponent("Sources")

  @Test(arguments: ["Datasets", "Imaging", "Storage"])
  func textsNameNoOptionsCommandsOrKeys(_ module: String) throws {
    let foreign = [
      try Regex("--[a-z]"), try Regex("`peco "),
      try Regex("\\bpeco (dataset|tokenizer|pretrain|finetune|probe|evaluate|features|figure)"),
      try Regex("\\b(data|model|training|tokens|masking|evaluation|augmentation|optimizer)\\.[a-z]+_?[a-z]"),
    ]
    let literal = try Regex(#""(?:[^"\\]|\\.)*""#)
    let code = try Regex(#"\\\([^()]*(?:\([^()]*\)[^()]*)*\)"#)
    let folder = Self.sources.appendingPathComponent(module)
    let files = try #require(FileManager.default.enumerator(at: folder, includingPropertiesForKeys: nil))
    var count = 0
    for case let file as URL in files where file.pathExtension == "swift" {
      count += 1
      for (number, line) in try String(contentsOf: file, encoding: .utf8).components(separatedBy: "\n")
        .enumerated()
      where !line.trimmingCharacters(in: .whitespaces).hasPrefix("//") {
        // What stands in \(...) is code.
        for text in line.replacing(code, with: "").matches(of: literal).map({
          String($0.output[0].substring ?? "")
        }) {
          for pattern in foreign {
            #expect(
              text.firstMatch(of: pattern) == nil, "\(file.lastPathComponent):\(number + 1): \(text)")
          }
        }
      }
    }
    #expect(count > 5)
  }

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

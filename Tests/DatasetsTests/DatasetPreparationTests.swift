import Datasets
import Foundation
import Imaging
import Preparation
import Testing
import Threads

@Suite struct DatasetPreparationTests {
  private func jpeg(_ width: Int, _ height: Int) throws -> [UInt8] {
    let pixels = (0..<width * height * 3).map { UInt8(truncatingIfNeeded: $0 * 7 + $0 / (width * 3) * 3) }
    return try Image(width: width, height: height, pixels: pixels).jpeg(quality: 90)
  }

  @Test func imagesThatCannotBeUsedAreListedAndSkipped() throws {
    try withTemporaryFolder { folder in
      let good = try jpeg(50, 40)
      try write(good, to: "\(folder)/in/a/good.jpg")
      try write(Array("a text".utf8), to: "\(folder)/in/a/text.jpg")
      try write([], to: "\(folder)/in/a/empty.jpg")
      try write(Array(good[..<(good.count * 2 / 3)]), to: "\(folder)/in/a/cut.jpg")
      try write(good, to: "\(folder)/in/loose.jpg")
      var preparation = DatasetPreparation(input: "\(folder)/in", output: "\(folder)/out.h5")
      preparation.report = "\(folder)/skipped.txt"
      let summary = try preparation.run()
      #expect(summary.images == 1)
      #expect(summary.skipped.map(\.path) == ["a/cut.jpg", "a/empty.jpg", "a/text.jpg", "loose.jpg"])
      #expect(summary.skipped[0].reason.contains("ends before"))
      #expect(summary.skipped[2].reason.contains("neither JPEG, PNG nor WebP"))
      #expect(summary.skipped[3].reason.contains("no class"))
      let report = String(decoding: try bytes("\(folder)/skipped.txt"), as: UTF8.self)
      #expect(report.split(separator: "\n").count == 4 && report.contains("a/text.jpg\t"))
      #expect(try ImageDataset(opening: "\(folder)/out.h5").skipped == 4)

      preparation.isStrict = true
      preparation.output = "\(folder)/strict.h5"
      #expect(message { _ = try preparation.run() }.contains("strictness"))
      #expect(!FileManager.default.fileExists(atPath: "\(folder)/strict.h5"))
      #expect(
        try FileManager.default.contentsOfDirectory(atPath: folder).sorted() == [
          "in", "out.h5", "skipped.txt",
        ])
    }
  }

  @Test func resizingShrinksTheShortSideAndNeverEnlarges() throws {
    try withTemporaryFolder { folder in
      let small = try jpeg(20, 30)
      try write(try jpeg(200, 100), to: "\(folder)/in/a.jpg")
      try write(try jpeg(90, 300), to: "\(folder)/in/b.jpg")
      try write(small, to: "\(folder)/in/c.jpg")
      let png = try Image(width: 64, height: 128, color: (10, 200, 30)).png()
      try write(png, to: "\(folder)/in/d.png")
      var preparation = DatasetPreparation(input: "\(folder)/in", output: "\(folder)/out.h5")
      preparation.shortSide = 32
      let summary = try preparation.run()
      #expect(summary.resized == 3)
      let dataset = try ImageDataset(opening: "\(folder)/out.h5")
      #expect(dataset.widths == [64, 32, 20, 32] && dataset.heights == [32, 107, 30, 64])
      #expect(dataset.shortSide == 32 && dataset.quality == 95)
      // A small one stays as it came, to the byte.
      var stored: [UInt8] = []
      try dataset.read(2, into: &stored)
      #expect(stored == small)
      let green = try dataset.image(3)
      #expect(green.width == 32 && green.pixels[1] > 195 && green.pixels[0] < 20)
    }
  }

  @Test func pngNamedJpegIsKeptAsItIs() throws {
    try withTemporaryFolder { folder in
      let png = try Image(width: 12, height: 8, color: (250, 10, 10)).png()
      try write(png, to: "\(folder)/in/x/image.JPEG")
      _ = try DatasetPreparation(input: "\(folder)/in", output: "\(folder)/out.h5").run()
      let image = try ImageDataset(opening: "\(folder)/out.h5").image(0)
      #expect(image == Image(width: 12, height: 8, color: (250, 10, 10)))
    }
  }

  @Test(arguments: [("gray.jpg", "gray-jpeg.rgb"), ("cmyk.jpg", "cmyk.rgb"), ("gray.png", "gray-png.rgb")])
  func otherColorsBecomeRGB(image: String, expected: String) throws {
    let fixtures = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .appendingPathComponent("ImagingTests/Fixtures").path
    try withTemporaryFolder { folder in
      try write(try bytes("\(fixtures)/\(image)"), to: "\(folder)/in/x/\(image)")
      var preparation = DatasetPreparation(input: "\(folder)/in", output: "\(folder)/out.h5")
      preparation.isStrict = true
      _ = try preparation.run()
      let rgb = try bytes("\(fixtures)/\(expected)")
      let image = try ImageDataset(opening: "\(folder)/out.h5").image(0)
      #expect(
        image.pixels.count == rgb.count && zip(image.pixels, rgb).allSatisfy { abs(Int($0) - Int($1)) <= 2 })

      preparation.shortSide = 16
      preparation.output = "\(folder)/small.h5"
      #expect(try preparation.run().resized == 1)
      let small = try ImageDataset(opening: "\(folder)/small.h5").image(0)
      func mean(_ values: [UInt8]) -> Double {
        Double(values.reduce(0) { $0 + Int($1) }) / Double(values.count)
      }
      #expect(min(small.width, small.height) == 16 && abs(mean(small.pixels) - mean(rgb)) < 3)
    }
  }

  @Test(arguments: [1, 3]) func theNumberOfThreadsChangesNothing(_ workers: Int) throws {
    try withTemporaryFolder { folder in
      let synthesis = DatasetSynthesis(count: 60, size: 24, seed: 5)
      try synthesis.write(folder: "\(folder)/in")
      var preparation = DatasetPreparation(input: "\(folder)/in", output: "\(folder)/out.h5")
      preparation.workers = workers
      let first = try preparation.run()
      preparation.workers = 1
      preparation.output = "\(folder)/again.h5"
      #expect(try preparation.run().fingerprint == first.fingerprint)
      #expect(first.classes == 10)
      #expect(try bytes("\(folder)/out.h5") == bytes("\(folder)/again.h5"))
    }
  }

  @Test func nothingIsLeftBehindWhenInterrupted() throws {
    try withTemporaryFolder { folder in
      try DatasetSynthesis(count: 200, size: 16, seed: 5).write(folder: "\(folder)/in")
      let cancellation = Cancellation()
      cancellation.cancel()
      let error = message {
        _ = try DatasetPreparation(input: "\(folder)/in", output: "\(folder)/out.h5").run(
          cancellation: cancellation)
      }
      #expect(error.contains("interrupted"))
      #expect(try FileManager.default.contentsOfDirectory(atPath: folder) == ["in"])
    }
  }

  @Test func wrongInputsAreErrorsThatSayWhatWasLookedFor() throws {
    try withTemporaryFolder { folder in
      try write([1], to: "\(folder)/empty/readme.txt")
      func error(_ change: (inout DatasetPreparation) -> Void) -> String {
        var preparation = DatasetPreparation(input: "\(folder)/empty", output: "\(folder)/out.h5")
        change(&preparation)
        return message { _ = try preparation.run() }
      }
      #expect(error { _ in }.contains("looked for JPEG, PNG and WebP"))
      #expect(error { $0.input = "\(folder)/nowhere" }.contains("nowhere"))
      #expect(error { $0.subset = "train" }.contains("subset"))
      #expect(error { $0.output = "\(folder)/no/such/out.h5" }.contains("there is no folder"))
      #expect(error { $0.output = folder }.contains("is a folder"))
      #expect(error { $0.shortSide = 0 }.contains("short side"))
      #expect(error { $0.quality = 101 }.contains("quality"))
      #expect(error { $0.workers = 0 }.contains("workers"))
      try write([1, 2], to: "\(folder)/empty/a.jpg")
      #expect(error { _ in }.contains("none of its 1 images"))
    }
  }

  @Test func folderLevelsThatLookWrongAreNoted() throws {
    try withTemporaryFolder { folder in
      try write(try jpeg(20, 20), to: "\(folder)/in/train/cat/a.jpg")
      try write(try jpeg(20, 20), to: "\(folder)/in/test/cat/a.jpg")
      let summary = try DatasetPreparation(input: "\(folder)/in", output: "\(folder)/out.h5").run()
      #expect(summary.notes.map(\.field) == [.subset] && summary.notes[0].text.contains("subset"))
    }
  }
}

import Datasets
import Foundation
import Imaging
import Preparation
import Tensors
import Testing

/// What a camera noted of its orientation counts where that is asked for, and stays out of the way elsewhere.
@Suite struct OrientationTests {
  private static let fixtures = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
    .deletingLastPathComponent().appendingPathComponent("ImagingTests/Fixtures").path

  private func folderOfImages(_ folder: String) throws -> String {
    for value in 1...8 {
      try write(try bytes("\(Self.fixtures)/orientation\(value).png"), to: "\(folder)/in/cat/\(value).png")
    }
    return "\(folder)/in"
  }

  @Test func itIsIgnoredUnlessAskedFor() throws {
    try withTemporaryFolder { folder in
      let (_, dataset) = try prepare(try folderOfImages(folder), in: folder)
      #expect(dataset.turned == nil)
      #expect(dataset.widths.allSatisfy { $0 == 13 } && dataset.heights.allSatisfy { $0 == 7 })
      #expect((0..<8).allSatisfy { dataset.orientation($0) == .upright })
    }
  }

  @Test func appliedItTurnsWhatIsDecoded() throws {
    try withTemporaryFolder { folder in
      let input = try folderOfImages(folder)
      let (_, plain) = try prepare(input, in: folder)
      let (_, dataset) = try prepare(input, in: folder) { $0.exifOrientation = .apply }
      #expect(dataset.turned == 7)
      // The images are others, though their bytes are the same.
      #expect(dataset.checksums == plain.checksums && dataset.fingerprint != plain.fingerprint)
      #expect(dataset.widths == [13, 13, 13, 13, 7, 7, 7, 7])
      #expect(try DatasetVerification.verify(dataset, workers: 2).isEmpty)
      for index in 0..<8 {
        #expect(try dataset.image(index).pixels == bytes("\(Self.fixtures)/orientation\(index + 1).rgb"))
      }
      let file = try bytes(dataset.path)
      #expect(file.firstRange(of: Array("exif_orientation".utf8)) != nil)
    }
  }

  @Test func whatLoadersMakeIsTurned() throws {
    try withTemporaryFolder { folder in
      let input = try folderOfImages(folder)
      let (_, dataset) = try prepare(input, in: folder) { $0.exifOrientation = .apply }
      // The same images, turned before they were encoded.
      for index in 0..<8 {
        try write(try dataset.image(index).png(), to: "\(folder)/turned/cat/\(index + 1).png")
      }
      let (_, turned) = try prepare("\(folder)/turned", in: folder)
      var pipeline = SamplePipeline(seed: 3, image: ImagePreprocessing(size: 6))
      pipeline.augmentation.crop = .randomResized()
      let loaded = try [dataset, turned].map { dataset in
        let loader = try Loader(sequenceOf: dataset, pipeline, batchSize: 8)
        var images: [Float] = []
        while let batch = try loader.next() { images += batch.images?.elements ?? [] }
        return images
      }
      #expect(loaded[0] == loaded[1] && !loaded[0].isEmpty)
    }
  }

  @Test func resizedImagesAreTurnedForGood() throws {
    try withTemporaryFolder { folder in
      let (summary, dataset) = try prepare(try folderOfImages(folder), in: folder) {
        $0.exifOrientation = .apply
        $0.shortSide = 4
        $0.quality = 100
      }
      #expect(summary.resized == 8 && dataset.turned == 0)
      #expect(dataset.widths == [7, 7, 7, 7, 4, 4, 4, 4] && dataset.heights == [4, 4, 4, 4, 7, 7, 7, 7])
      let first = try dataset.image(0).pixels
      // Mirrored and turned, the first image again.
      let buffer = PixelBuffer(try dataset.image(5))
      for _ in 0..<3 { buffer.turn(.quarterTurned) }
      #expect(zip(first, buffer.image.pixels).allSatisfy { abs(Int($0) - Int($1)) < 60 })
    }
  }

  @Test func withoutTurnedImagesTheFileIsOfTheFirstFormat() throws {
    try withTemporaryFolder { folder in
      try write(ArchiveTests.images[0], to: "\(folder)/in/cat/a.jpg")
      let (_, plain) = try prepare("\(folder)/in", in: folder)
      let (_, dataset) = try prepare("\(folder)/in", in: folder) { $0.exifOrientation = .apply }
      #expect(dataset.turned == 0 && dataset.fingerprint == plain.fingerprint)
    }
  }
}

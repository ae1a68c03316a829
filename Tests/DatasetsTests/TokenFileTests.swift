import Datasets
import Foundation
import Imaging
import Testing

@Suite struct TokenFileTests {
  /// Tokens that tell their image, view and position.
  private func token(_ image: Int, _ view: Int, _ position: Int) -> Int32 {
    Int32((image * 31 + view * 7 + position) % 500)
  }

  /// Encodes a dataset with two views of 2 × 2 tokens.
  private func encode(_ dataset: ImageDataset, _ path: String, codebook: Int = 512) throws -> TokenFile {
    let header = TokenFileDescription(
      count: dataset.count, views: 2, gridHeight: 2, gridWidth: 2, codebookSize: codebook,
      datasetFingerprint: dataset.fingerprint, tokenizerChecksum: 77, seed: 9)
    let pipeline = SamplePipeline(seed: 9, tokenizerImage: .tokenizer(size: 8))
    let loader = try Loader(sequenceOf: dataset, pipeline, batchSize: 3, views: 2)
    try TokenFileWriter.write(to: path, header) { writer in
      while let batch = try loader.next() {
        let tokens = batch.samples.flatMap { image in (0..<4).map { token(image, batch.epoch, $0) } }
        try writer.append(tokens: tokens, crops: batch.crops, flips: batch.flips)
      }
    }
    return try TokenFile(opening: path)
  }

  @Test(arguments: [512, 100_000]) func roundTrip(_ codebook: Int) throws {
    try withTemporaryFolder { folder in
      let dataset = try makeDataset(folder, count: 10)
      let file = try encode(dataset, "\(folder)/tokens.h5", codebook: codebook)
      #expect(file.header.count == 10 && file.header.views == 2 && file.header.tokenizerChecksum == 77)
      try file.requireMatch(dataset)
      let rule = CropRule.randomResized()
      var tokens = [Int32](repeating: 0, count: 4)
      for image in 0..<10 {
        for view in 0..<2 {
          try tokens.withUnsafeMutableBufferPointer { try file.read(image, view: view, into: $0) }
          #expect(tokens == (0..<4).map { token(image, view, $0) })
          let region = rule.region(width: 40, height: 40, seed: 9, epoch: view, index: image)
          #expect(file.crop(image, view: view) == region)
        }
      }
    }
  }

  @Test func theLoaderShowsTheViewThatWasEncoded() throws {
    try withTemporaryFolder { folder in
      let dataset = try makeDataset(folder, count: 12)
      let file = try encode(dataset, "\(folder)/tokens.h5")
      // The run has another seed than the encoding: crops must come from the file.
      let pipeline = SamplePipeline(
        seed: 4, image: ImagePreprocessing(size: 16),
        mask: try MaskGenerator(height: 2, width: 2, count: 1, kind: .random))
      let sampler = try GlobalSampler(count: 12, globalBatchSize: 6, seed: 4)
      let share = try RankShare(globalBatchSize: 6, microBatchSize: 3)
      let loader = try Loader(dataset, pipeline, sampler: sampler, share: share, tokens: file)
      var views: [Int] = []
      for _ in 0..<16 {
        let batch = try #require(try loader.next())
        let tokens = try #require(batch.tokens)
        #expect(tokens.count == 12)
        for (i, image) in batch.samples.enumerated() {
          let view = try #require((0..<2).first { tokens[i * 4] == token(image, $0, 0) })
          #expect(batch.crops[i] == file.crop(image, view: view))
          #expect(batch.flips[i] == file.isFlipped(image, view: view))
          views.append(view)
        }
      }
      #expect((12...36).contains(views.reduce(0, +)))
    }
  }

  @Test func anotherDatasetOrGridIsAnError() throws {
    try withTemporaryFolder { folder in
      let dataset = try makeDataset(folder, count: 6)
      let other = try makeDataset(folder, count: 6, seed: 2, name: "other.h5")
      let file = try encode(dataset, "\(folder)/tokens.h5")
      let pipeline = SamplePipeline(seed: 4, image: ImagePreprocessing(size: 16))
      let wrong = message { _ = try Loader(sequenceOf: other, pipeline, batchSize: 2, tokens: file) }
      #expect(wrong.contains("another dataset") && wrong.contains(hexadecimal(other.fingerprint)))
      var masked = pipeline
      masked.mask = try MaskGenerator(height: 3, width: 3, count: 2, kind: .random)
      let grid = message { _ = try Loader(sequenceOf: dataset, masked, batchSize: 2, tokens: file) }
      #expect(grid.contains("3 × 3") && grid.contains("2 × 2"))
      let views = message {
        _ = try Loader(sequenceOf: dataset, pipeline, batchSize: 2, views: 3, tokens: file)
      }
      #expect(views.contains("2 views"))
    }
  }

  @Test func aGridOfNegativeSidesIsDamage() throws {
    try withTemporaryFolder { folder in
      let path = "\(folder)/tokens.h5"
      let header = TokenFileDescription(
        count: 1, views: 1, gridHeight: -2, gridWidth: -2, codebookSize: 8, datasetFingerprint: 0,
        tokenizerChecksum: 0, seed: 0)
      try TokenFileWriter.write(to: path, header) { writer in
        try writer.append(
          tokens: [1, 2, 3, 4], crops: [Region(x: 0, y: 0, width: 8, height: 8)], flips: [false])
      }
      #expect(message { _ = try TokenFile(opening: path) }.contains("is damaged"))
    }
  }

  @Test func unfinishedOrImpossibleFilesDoNotAppear() throws {
    try withTemporaryFolder { folder in
      let path = "\(folder)/tokens.h5"
      let header = TokenFileDescription(
        count: 2, views: 1, gridHeight: 1, gridWidth: 1, codebookSize: 8, datasetFingerprint: 0,
        tokenizerChecksum: 0, seed: 0)
      let crop = Region(x: 0, y: 0, width: 8, height: 8)
      let unfinished = message {
        try TokenFileWriter.write(to: path, header) { writer in
          try writer.append(tokens: [3], crops: [crop], flips: [false])
        }
      }
      #expect(unfinished.contains("1 of 2"))
      let outside = message {
        try TokenFileWriter.write(to: path, header) { writer in
          try writer.append(tokens: [3, 8], crops: [crop, crop], flips: [false, false])
        }
      }
      #expect(outside.contains("no entry"))
      #expect(try FileManager.default.contentsOfDirectory(atPath: folder).isEmpty)
      let dataset = try makeDataset(folder, count: 2)
      #expect(message { _ = try TokenFile(opening: dataset.path) }.contains("no token file"))
    }
  }
}

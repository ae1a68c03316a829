import Datasets
import Imaging
import Tensors
import Testing

@Suite struct LoaderTests {
  private func pipeline(jitter: Bool = true) throws -> SamplePipeline {
    SamplePipeline(
      seed: 3, augmentation: Augmentation(colorJitter: jitter ? ColorJitterRange(hue: 0.1) : nil),
      image: ImagePreprocessing(size: 32), tokenizerImage: .tokenizer(size: 16),
      mask: try MaskGenerator(height: 4, width: 4, count: 6, kind: .blockwise(minimumBlock: 4)))
  }

  /// A batch as something to compare.
  private struct Content: Equatable {
    var samples: [Int] = []
    var images: [Float] = []
    var tokenizerImages: [Float] = []
    var masked: [Int32] = []
    var labels: [Int32] = []
    var flips: [Bool] = []

    mutating func append(_ batch: Batch, patches: Int32 = 16) {
      let base = Int32(samples.count) * patches
      samples += batch.samples
      images += batch.images?.elements ?? []
      tokenizerImages += batch.tokenizerImages?.elements ?? []
      masked += batch.masked.map { $0 + base }
      labels += batch.labels
      flips += batch.flips
    }
  }

  /// The global batches of some steps, put together from all ranks' micro-batches.
  private func steps(
    _ dataset: ImageDataset, _ range: Range<Int>, ranks: Int = 1, microBatch: Int = 4, workers: Int = 1,
    prefetch: Int = 3
  ) throws -> [Content] {
    let sampler = try GlobalSampler(count: dataset.count, globalBatchSize: 16, seed: 3)
    let options = Loader.Options(workers: workers, prefetch: prefetch)
    var contents = [Content](repeating: Content(), count: range.count)
    for rank in 0..<ranks {
      let share = try RankShare(rank: rank, ranks: ranks, globalBatchSize: 16, microBatchSize: microBatch)
      let loader = try Loader(
        dataset, try pipeline(), sampler: sampler, share: share, firstStep: range.lowerBound, options: options
      )
      for step in range {
        for index in 0..<share.microBatches {
          let batch = try #require(try loader.next())
          #expect(batch.step == step && batch.microBatch == index && batch.epoch == step / 2)
          contents[step - range.lowerBound].append(batch)
        }
      }
    }
    return contents
  }

  @Test func ranksMicroBatchesAndThreadsChangeNothing() throws {
    try withTemporaryFolder { folder in
      let dataset = try makeDataset(folder, count: 40)
      let reference = try steps(dataset, 0..<5)
      #expect(reference[0].samples.count == 16 && reference[0].masked.count == 16 * 6)
      #expect(reference[0] != reference[2])
      #expect(try steps(dataset, 0..<5, workers: 3, prefetch: 5) == reference)
      #expect(try steps(dataset, 0..<5, ranks: 2, workers: 2, prefetch: 1) == reference)
      #expect(try steps(dataset, 0..<5, ranks: 4, microBatch: 2, workers: 2) == reference)
    }
  }

  @Test func aRunResumedInMidEpochGoesOnTheSame() throws {
    try withTemporaryFolder { folder in
      let dataset = try makeDataset(folder, count: 40)
      #expect(try steps(dataset, 3..<7, workers: 2) == Array(try steps(dataset, 0..<7)[3...]))
    }
  }

  @Test func viewsAreTheCropOfTheImageNormalized() throws {
    try withTemporaryFolder { folder in
      let dataset = try makeDataset(folder, count: 20)
      let loader = try Loader(sequenceOf: dataset, try pipeline(jitter: false), batchSize: 20)
      let batch = try #require(try loader.next())
      let images = try #require(batch.images).elements
      let small = try #require(batch.tokenizerImages).elements
      #expect(Set(batch.flips).count == 2)
      for i in 0..<20 {
        // The same by other means: cut, resize and flip an 8-bit image.
        var cut = try dataset.image(i).cropped(to: batch.crops[i])
        if batch.flips[i] { cut = cut.flippedHorizontally() }
        let large = try cut.resized(width: 32, height: 32).pixels
        let mean: [Float] = [0.485, 0.456, 0.406]
        let deviation: [Float] = [0.229, 0.224, 0.225]
        var worst: Float = 0
        for (j, pixel) in large.enumerated() {
          let expected = (Float(pixel) / 255 - mean[j % 3]) / deviation[j % 3]
          worst = max(worst, abs(images[i * 3072 + j] - expected))
        }
        // Half a step of rounding of 8 bits.
        #expect(worst < 0.51 / 255 / 0.224)
        let tiny = try cut.resized(width: 16, height: 16).pixels
        for (j, pixel) in tiny.enumerated() {
          #expect(abs(small[i * 768 + j] - (Float(pixel) / 127.5 - 1)) < 0.51 / 127.5)
        }
      }
    }
  }

  @Test func aSequenceHoldsEveryImageOnceAView() throws {
    try withTemporaryFolder { folder in
      let dataset = try makeDataset(folder, count: 11)
      let pipeline = SamplePipeline(seed: 1, tokenizerImage: .tokenizer(size: 8))
      let loader = try Loader(
        sequenceOf: dataset, pipeline, range: 2..<11, batchSize: 4, views: 2,
        options: Loader.Options(workers: 2))
      var seen: [[Int]] = []
      var views: [Int] = []
      var crops: [[Region]] = []
      while let batch = try loader.next() {
        seen.append(batch.samples)
        views.append(batch.epoch)
        crops.append(batch.crops)
        #expect(batch.images == nil && batch.masked.isEmpty && batch.tokens == nil)
        #expect(batch.tokenizerImages?.shape == [batch.count, 8, 8, 3])
      }
      #expect(seen == [[2, 3, 4, 5], [2, 3, 4, 5], [6, 7, 8, 9], [6, 7, 8, 9], [10], [10]])
      #expect(views == [0, 1, 0, 1, 0, 1])
      #expect(crops[0] != crops[1])
      #expect(try loader.next() == nil)
    }
  }

  @Test func theMiddleViewIsDeterministic() throws {
    try withTemporaryFolder { folder in
      let dataset = try makeDataset(folder, count: 4)
      let pipeline = SamplePipeline(
        seed: 1, augmentation: .evaluation(resizeShortSide: 40, size: 20), image: ImagePreprocessing(size: 20)
      )
      let batch = try #require(try Loader(sequenceOf: dataset, pipeline, batchSize: 4).next())
      #expect(batch.crops.allSatisfy { $0 == Region(x: 10, y: 10, width: 20, height: 20) })
      #expect(batch.flips == [false, false, false, false])
    }
  }

  @Test func badImagesAreNamed() throws {
    try withTemporaryFolder { folder in
      let dataset = try makeDataset(folder, count: 16)
      var image: [UInt8] = []
      try dataset.read(5, into: &image)
      var whole = try bytes(dataset.path)
      let start = try #require(whole.firstRange(of: image)).lowerBound
      for i in start..<start + 20 { whole[i] = 0 }
      try write(whole, to: "\(folder)/damaged.h5")
      let damaged = try ImageDataset(opening: "\(folder)/damaged.h5")
      let error = message {
        let loader = try Loader(sequenceOf: damaged, try pipeline(), batchSize: 4, options: .init(workers: 3))
        while try loader.next() != nil {}
      }
      #expect(error.contains("image 5 (ring/00000005.jpg)") && error.contains("damaged.h5"), "\(error)")

      let options = Loader.Options(workers: 2)
      let checked = message {
        let loader = try Loader(sequenceOf: damaged, try pipeline(), batchSize: 4, options: options)
        while try loader.next() != nil {}
      }
      #expect(checked.contains("checksum"))
    }
  }

  @Test func loadersStopInTheMiddleOfWork() throws {
    try withTemporaryFolder { folder in
      let dataset = try makeDataset(folder, count: 40)
      for taken in 0..<4 {
        let sampler = try GlobalSampler(count: 40, globalBatchSize: 8, seed: 0)
        let share = try RankShare(globalBatchSize: 8, microBatchSize: 8)
        let loader = try Loader(
          dataset, try pipeline(), sampler: sampler, share: share, options: .init(workers: 3, prefetch: 2))
        for _ in 0..<taken { _ = try loader.next() }
        if taken % 2 == 0 {
          loader.stop()
          #expect(try loader.next() == nil)
        }
      }
    }
  }

  @Test func theSteadyStateTakesNoNewMemory() throws {
    try withTemporaryFolder { folder in
      let dataset = try makeDataset(folder, count: 40)
      let sampler = try GlobalSampler(count: 40, globalBatchSize: 8, seed: 0)
      let share = try RankShare(globalBatchSize: 8, microBatchSize: 8)
      let pipeline = SamplePipeline(seed: 0, image: ImagePreprocessing(size: 111))
      let loader = try Loader(dataset, pipeline, sampler: sampler, share: share)
      for _ in 0..<6 { _ = try loader.next() }
      // Other tests run beside this one; blocks of this size are this test's alone.
      let before = ExecutionContext.current.memory.usage.reserved
      for _ in 0..<20 { _ = try loader.next() }
      let grown = ExecutionContext.current.memory.usage.reserved - before
      #expect(grown < 20 * 8 * 111 * 111 * 3 * 4 / 2)
    }
  }

  @Test func impossiblePipelinesAreErrors() throws {
    try withTemporaryFolder { folder in
      let dataset = try makeDataset(folder, count: 4)
      func error(_ change: (inout SamplePipeline) throws -> Void) -> String {
        message {
          var changed = try pipeline()
          try change(&changed)
          _ = try Loader(sequenceOf: dataset, changed, batchSize: 2)
        }
      }
      #expect(error { $0.augmentation.flipProbability = 1.5 }.contains("flip probability"))
      #expect(error { $0.augmentation.crop = .randomResized(scale: 0...1) }.contains("crop scale"))
      #expect(
        error { $0.augmentation.colorJitter = ColorJitterRange(hue: 0.6) }.contains("color jitter (hue)")
      )
      #expect(
        error { $0.augmentation.colorJitter = ColorJitterRange(contrast: -1) }.contains(
          "color jitter (contrast)"))
      #expect(error { $0.image = ImagePreprocessing(size: 0) }.contains("image size"))
      #expect(error { $0.image = ImagePreprocessing(size: 8, deviation: [1, 0, 1]) }.contains("deviations"))
      #expect(
        message { _ = try Loader(sequenceOf: dataset, try pipeline(), batchSize: 0) }.contains("batch size"))
      #expect(
        message {
          _ = try Loader(sequenceOf: dataset, try pipeline(), batchSize: 1, options: .init(workers: 0))
        }
        .contains("workers"))
    }
  }
}

import Datasets
import Tensors
import Testing

@Suite struct TwoViewsTests {
  /// Two views as MoCo v3 makes them.
  private func pipeline() -> SamplePipeline {
    let colors = ColorJitterRange(brightness: 0.4, contrast: 0.4, saturation: 0.2, hue: 0.1)
    var first = Augmentation(colorJitter: colors)
    first.effects = ViewEffects(colorJitterProbability: 0.8, grayscaleProbability: 0.2, blurProbability: 1)
    var second = first
    second.effects.blurProbability = 0.1
    second.effects.solarizeProbability = 0.2
    var pipeline = SamplePipeline(seed: 3, augmentation: first, image: ImagePreprocessing(size: 24))
    pipeline.secondAugmentation = second
    return pipeline
  }

  /// Both views of the global batches of some steps, put together from all ranks' shares.
  private func steps(
    _ dataset: ImageDataset, _ pipeline: SamplePipeline, _ range: Range<Int>, ranks: Int, workers: Int
  ) throws -> [[Float]] {
    let sampler = try GlobalSampler(count: dataset.count, globalBatchSize: 8, seed: 3)
    var contents = [[Float]](repeating: [], count: 2 * range.count)
    for rank in 0..<ranks {
      let share = try RankShare(rank: rank, ranks: ranks, globalBatchSize: 8, microBatchSize: 8 / ranks)
      let loader = try Loader(
        dataset, pipeline, sampler: sampler, share: share, firstStep: range.lowerBound,
        options: Loader.Options(workers: workers))
      for place in 0..<range.count {
        let batch = try #require(try loader.next())
        contents[2 * place] += try #require(batch.images).elements
        contents[2 * place + 1] += try #require(batch.secondImages).elements
      }
    }
    return contents
  }

  @Test func viewsBelongToTheSampleAndTheEpochAlone() throws {
    try withTemporaryFolder { folder in
      let dataset = try makeDataset(folder, count: 16)
      let reference = try steps(dataset, pipeline(), 0..<4, ranks: 1, workers: 1)
      #expect(Set(reference).count == reference.count)
      #expect(try steps(dataset, pipeline(), 0..<4, ranks: 2, workers: 3) == reference)
      #expect(try steps(dataset, pipeline(), 3..<4, ranks: 4, workers: 1) == Array(reference[6...]))
    }
  }

  @Test func aSecondViewLeavesTheFirstAsItIs() throws {
    try withTemporaryFolder { folder in
      let dataset = try makeDataset(folder, count: 8)
      var alone = pipeline()
      alone.secondAugmentation = nil
      let loader = try Loader(sequenceOf: dataset, alone, batchSize: 8)
      let batch = try #require(try loader.next())
      #expect(batch.secondImages == nil)
      let both = try #require(try Loader(sequenceOf: dataset, pipeline(), batchSize: 8).next())
      #expect(both.images?.elements == batch.images?.elements)
      #expect(both.secondImages?.elements != batch.images?.elements)
    }
  }

  /// The pixels of views of the whole image, to which effects alone happen.
  private func views(_ dataset: ImageDataset, _ effects: ViewEffects, colors: ColorJitterRange? = nil)
    throws
    -> [[Float]]
  {
    var augmentation = Augmentation(crop: .center(fraction: 1), flipProbability: 0, colorJitter: colors)
    augmentation.effects = effects
    let view = ImagePreprocessing(size: 40, mean: [0, 0, 0], deviation: [1, 1, 1])
    let pipeline = SamplePipeline(seed: 5, augmentation: augmentation, image: view)
    let loader = try Loader(sequenceOf: dataset, pipeline, batchSize: dataset.count)
    let images = try #require(try loader.next()?.images)
    return (0..<dataset.count).map { images[row: $0].elements }
  }

  @Test func effectsHappenAsOftenAsTold() throws {
    try withTemporaryFolder { folder in
      let dataset = try makeDataset(folder, count: 200)
      let plain = try views(dataset, ViewEffects())
      func changed(_ effects: ViewEffects, colors: ColorJitterRange? = nil) throws -> Int {
        zip(try views(dataset, effects, colors: colors), plain).count { $0 != $1 }
      }
      #expect(try changed(ViewEffects(colorJitterProbability: 0), colors: ColorJitterRange()) == 0)
      #expect((130...190).contains(try changed(ViewEffects(colorJitterProbability: 0.8), colors: .init())))
      #expect((20...60).contains(try changed(ViewEffects(grayscaleProbability: 0.2))))
      #expect((5...40).contains(try changed(ViewEffects(blurProbability: 0.1))))
      #expect((20...60).contains(try changed(ViewEffects(solarizeProbability: 0.2))))
    }
  }

  @Test func grayHasNoColorAndSolarizedNoHighlights() throws {
    try withTemporaryFolder { folder in
      let dataset = try makeDataset(folder, count: 4)
      let gray = try views(dataset, ViewEffects(grayscaleProbability: 1)).joined()
      let values = Array(gray)
      #expect(stride(from: 0, to: values.count, by: 3).allSatisfy { abs(values[$0] - values[$0 + 2]) < 1e-5 })
      let solarized = try views(dataset, ViewEffects(solarizeProbability: 1)).joined()
      #expect(solarized.allSatisfy { $0 <= 128 / 255 })
    }
  }

  @Test func impossibleEffectsAreNamed() throws {
    var bad = pipeline()
    bad.secondAugmentation?.effects.blurProbability = 1.5
    #expect(message { try bad.validate() }.contains("blur probability"))
    bad = pipeline()
    bad.augmentation.effects.blurSigma = 0...2
    #expect(message { try bad.validate() }.contains("blur sigma"))
  }

  @Test func aSelectionComesInTheOrderGiven() throws {
    try withTemporaryFolder { folder in
      let dataset = try makeDataset(folder, count: 12)
      let pipeline = SamplePipeline(
        seed: 0, augmentation: .evaluation(resizeShortSide: 16, size: 16), image: ImagePreprocessing(size: 16)
      )
      let loader = try Loader(of: [7, 3, 11, 0, 5], in: dataset, pipeline, batchSize: 2)
      var samples: [[Int]] = []
      while let batch = try loader.next() {
        samples.append(batch.samples)
        #expect(batch.labels == batch.samples.map { dataset.labels[$0] })
      }
      #expect(samples == [[7, 3], [11, 0], [5]])
    }
  }
}

import Datasets
import Imaging
import Tensors
import Testing

/// RandAugment and random erasing on their way through the loader.
@Suite struct AugmentationTests {
  private func images(
    _ dataset: ImageDataset, workers: Int = 1, _ change: (inout Augmentation) -> Void = { _ in }
  ) throws -> [[Float]] {
    var augmentation = Augmentation(crop: .center(fraction: 1), flipProbability: 0)
    change(&augmentation)
    let pipeline = SamplePipeline(seed: 4, augmentation: augmentation, image: ImagePreprocessing(size: 32))
    let loader = try Loader(
      sequenceOf: dataset, pipeline, batchSize: 10, options: Loader.Options(workers: workers))
    defer { loader.stop() }
    var result: [[Float]] = []
    while let batch = try loader.next() {
      let all = try #require(batch.images).elements
      result += (0..<batch.count).map { Array(all[$0 * 3072..<($0 + 1) * 3072]) }
    }
    return result
  }

  @Test func aRectangleTurnsIntoNoise() throws {
    try withTemporaryFolder { folder in
      let dataset = try makeDataset(folder, count: 40)
      let plain = try images(dataset)
      let erased = try images(dataset) { $0.erasing = RandomErasing(probability: 1) }
      var noise: [Float] = []
      for (before, after) in zip(plain, erased) {
        let changed = zip(before, after).filter { $0 != $1 }.map(\.1)
        let share = Double(changed.count) / 3072
        #expect(share > 0.01 && share < 0.36)
        noise += changed
      }
      let mean = noise.reduce(0, +) / Float(noise.count)
      let variance = noise.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Float(noise.count)
      #expect(abs(mean) < 0.05 && abs(variance - 1) < 0.1)

      let some = try images(dataset) { $0.erasing = RandomErasing(probability: 0.25) }
      let untouched = zip(plain, some).filter { $0 == $1 }.count
      #expect((20...38).contains(untouched))
      #expect(throws: DatasetError.self) {
        try images(dataset) { $0.erasing = RandomErasing(probability: 2) }
      }
    }
  }

  @Test func operationsBelongToTheSample() throws {
    try withTemporaryFolder { folder in
      let dataset = try makeDataset(folder, count: 40)
      let policy = try #require(RandAugment("rand-m9-mstd0.5-inc1"))
      let plain = try images(dataset)
      let changed = try images(dataset) { $0.randAugment = policy }
      // Each of two operations is applied half of the time, and an image without any is as it was to the bit.
      let untouched = zip(plain, changed).filter { $0 == $1 }.count
      #expect((3...20).contains(untouched))
      #expect(try images(dataset, workers: 3) { $0.randAugment = policy } == changed)
    }
  }

  /// As timm reads it: any strength up to the magnitude.
  @Test func anInfiniteDeviationDrawsStrengthsUniformly() throws {
    let policy = try #require(RandAugment("rand-m5-mstd101-inc1-n20"))
    let strengths = (0..<400).flatMap { index in
      policy.draw(RandomStream(seed: 1, purpose: .randAugment, index: index)).compactMap { operation in
        if case .brightness(let factor) = operation { abs(Double(factor) - 1) / 0.9 } else { nil as Double? }
      }
    }
    let mean = strengths.reduce(0, +) / Double(strengths.count)
    #expect(strengths.count > 200 && strengths.allSatisfy { $0 >= 0 && $0 < 0.5 + 1e-6 })
    #expect(abs(mean - 0.25) < 0.03)
  }
}

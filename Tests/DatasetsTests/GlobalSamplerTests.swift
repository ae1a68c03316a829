import Datasets
import Testing

@Suite struct GlobalSamplerTests {
  @Test func anEpochHoldsEveryImageOnceButForTheRemainder() throws {
    let sampler = try GlobalSampler(count: 103, globalBatchSize: 10, seed: 7)
    #expect(sampler.stepsPerEpoch == 10)
    for epoch in 0..<3 {
      let seen = (0..<10).flatMap { sampler.samples(step: epoch * 10 + $0) }
      #expect(seen.count == 100)
      #expect(Set(seen).count == 100)
      #expect(seen.allSatisfy { (0..<103).contains($0) })
    }
    #expect(sampler.epoch(ofStep: 9) == 0)
    #expect(sampler.epoch(ofStep: 10) == 1)
  }

  @Test func epochsAndSeedsDiffer() throws {
    let sampler = try GlobalSampler(count: 64, globalBatchSize: 32, seed: 7)
    let other = try GlobalSampler(count: 64, globalBatchSize: 32, seed: 8)
    #expect(sampler.samples(step: 0) != sampler.samples(step: 2))
    #expect(sampler.samples(step: 0) != other.samples(step: 0))
    // The same again, also after other epochs have gone through the cache.
    let first = sampler.samples(step: 0)
    for step in [6, 2, 9, 0] { _ = sampler.samples(step: step) }
    #expect(sampler.samples(step: 0) == first)
  }

  @Test func leftOutImagesAreOthersInEachEpoch() throws {
    let sampler = try GlobalSampler(count: 15, globalBatchSize: 10, seed: 3)
    let leftOut = (0..<20).map { Set(0..<15).subtracting(sampler.samples(step: $0)) }
    #expect(Set(leftOut).count > 10)
    #expect(leftOut.reduce(into: Set()) { $0.formUnion($1) }.count == 15)
  }

  @Test func positionsAreUniform() throws {
    // Where image 0 comes in 4000 epochs: each of 8 places about 500 times (deviation 21).
    let sampler = try GlobalSampler(count: 8, globalBatchSize: 8, seed: 11)
    var counts = [Int](repeating: 0, count: 8)
    for epoch in 0..<4000 {
      if let place = sampler.samples(step: epoch).firstIndex(of: 0) { counts[place] += 1 }
    }
    #expect(counts.allSatisfy { (400...600).contains($0) }, "\(counts)")
  }

  @Test(arguments: [1, 2, 4]) func ranksCutTheGlobalBatch(_ ranks: Int) throws {
    let global = Array(0..<16)
    var gathered: [Int] = []
    for rank in 0..<ranks {
      let share = try RankShare(rank: rank, ranks: ranks, globalBatchSize: 16, microBatchSize: 2)
      #expect(share.microBatches == 8 / ranks)
      for index in 0..<share.microBatches { gathered += global[share.range(ofMicroBatch: index)] }
    }
    #expect(gathered == global)
  }

  @Test func impossibleSizesAreErrors() {
    let small = message { _ = try GlobalSampler(count: 5, globalBatchSize: 8, seed: 0) }
    #expect(small.contains("global batch size") && small.contains("5 images"))
    let uneven = message { _ = try RankShare(rank: 0, ranks: 3, globalBatchSize: 16, microBatchSize: 2) }
    #expect(uneven.contains("3 ranks") && uneven.contains("6"))
    #expect(
      message { _ = try RankShare(globalBatchSize: 16, microBatchSize: 0) }.contains("micro-batch size"))
  }
}

@Suite struct SubsetTests {
  @Test func aSubsetIsSampledWhole() throws {
    let subset = [3, 4, 8, 20, 21, 39]
    let sampler = try GlobalSampler(count: 40, subset: subset, globalBatchSize: 2, seed: 1)
    #expect(sampler.count == 6 && sampler.datasetCount == 40 && sampler.stepsPerEpoch == 3)
    let epochs = (0..<2).map { epoch in (0..<3).flatMap { sampler.samples(step: 3 * epoch + $0) } }
    #expect(epochs.allSatisfy { $0.sorted() == subset })
    #expect(epochs[0] != epochs[1])
    #expect(throws: DatasetError.self) {
      try GlobalSampler(count: 40, subset: subset, globalBatchSize: 7, seed: 1)
    }
  }

  @Test func aShareOfTheLabelsIsTheSameOfEveryClass() throws {
    try withTemporaryFolder { folder in
      let dataset = try makeDataset(folder, count: 95, size: 16)
      let part = dataset.labeledShare(0.4, seed: 5)
      #expect(part == part.sorted() && Set(part).count == part.count)
      let counts = (0..<10).map { label in part.filter { dataset.labels[$0] == Int32(label) }.count }
      #expect(counts == [4, 4, 4, 4, 4, 4, 4, 4, 4, 4])
      #expect(dataset.labeledShare(0.4, seed: 5) == part)
      #expect(dataset.labeledShare(0.4, seed: 6) != part)
      #expect(dataset.labeledShare(0.001, seed: 5).count == 10)
      #expect(dataset.labeledShare(1, seed: 5) == Array(0..<95))
    }
  }
}

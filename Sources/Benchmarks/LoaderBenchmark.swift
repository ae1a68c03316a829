import Datasets

/// Times the loader as pretraining uses it: read, decode, random resized crop to 224² (bicubic), flip, color jitter
/// 0.4, normalize, blockwise mask.
public enum LoaderBenchmark {
  /// Runs for about `seconds` over a dataset's images.
  public static func run(dataset path: String, workers: Int, seconds: Double) throws -> BenchmarkReport {
    let dataset = try ImageDataset(opening: path)
    var report = BenchmarkReport("loader", "loader, \(dataset.count) images, \(workers) threads")
    let pipeline = SamplePipeline(
      seed: 0,
      augmentation: Augmentation(
        crop: .randomResized(scale: 0.08...1), flipProbability: 0.5, colorJitter: ColorJitterRange()),
      image: ImagePreprocessing(size: 224), mask: try MaskGenerator(height: 14, width: 14, count: 75))
    let batchSize = min(16, dataset.count)
    let loader = try Loader(
      dataset, pipeline,
      sampler: try GlobalSampler(count: dataset.count, globalBatchSize: batchSize, seed: 0),
      share: try RankShare(rank: 0, ranks: 1, globalBatchSize: batchSize, microBatchSize: batchSize),
      options: Loader.Options(workers: workers))
    defer { loader.stop() }
    // What was made ahead while nobody counted.
    for _ in 0..<8 { _ = try loader.next() }
    let start = ContinuousClock.now
    var times: [Double] = []
    while start.duration(to: .now) < .seconds(seconds) || times.count < 3 {
      let before = ContinuousClock.now
      _ = try loader.next()
      times.append(before.duration(to: .now) / .seconds(1))
    }
    let all = start.duration(to: .now) / .seconds(1)
    report.note("threads", workers)
    report.note("batch", batchSize)
    report.add(
      "images_per_second", "images", Double(times.count * batchSize) / all, "a second", digits: 0)
    report.add(
      "images_per_second_per_thread", "a thread", Double(times.count * batchSize) / all / Double(workers),
      "a second", digits: 0)
    report.note("seconds", times)
    report.addMemory(peak: ProcessMemory.peak)
    return report
  }
}

import Communication
import Configuration
import Datasets
import Imaging
import Layers
import Models
import Operations
import TaskSupport
import Tensors
import Terminal
import TokenizerSupport
import Visualization

/// `peco tokenizer reconstruct`: a tokenizer's reconstructions, as an image and in numbers.
public enum Reconstruction {
  /// What was measured.
  public struct Report: Sendable {
    /// Images measured.
    public let images: Int
    /// Peak signal-to-noise ratio of the mean squared error over all images, in decibels.
    public let psnr: Double
    /// exp of the entropy of the tokens used.
    public let perplexity: Double
    /// Share of the codebook that was used.
    public let usage: Double
  }

  /// Draws `count` images, each above its reconstruction, and measures over `measure` images.
  public static func run(
    tokenizer path: String, dataset datasetPath: String, output: String, count: Int, measure: Int
  ) throws -> Report {
    try ImageTable.requireOutput(output, madeFrom: [path, datasetPath])
    let alone = Communicator()
    let dataset = try namingKeys { try ImageDataset(opening: datasetPath) }
    let tokenizer = try TrainedTokenizer(path: path, communicator: alone)
    let model = tokenizer.model
    let samples = SamplePipeline.whole(tokenizerImage: model.preprocessing)
    guard dataset.count > 0 else { throw RunError("\(datasetPath) holds no images") }
    // Datasets are sorted by class: take stretches from all over, and show the first image of each.
    let stretches = min(count, dataset.count)
    let length = max(1, min(measure, dataset.count) / stretches)

    var shown: [(original: Image, reconstruction: Image)] = []
    var squaredError = 0.0
    var uses = [Double](repeating: 0, count: model.vocabulary)
    for stretch in 0..<stretches {
      let start = dataset.count * stretch / stretches
      try dataset.forEachBatch(samples, range: start..<start + length, batchSize: 8) { batch in
        let images = try batch.requiredTokenizerImages
        let tokens = model.tokens(images)
        for token in tokens { uses[Int(token)] += 1 }
        let reconstruction = model.images(from: tokens)
        squaredError += Double(meanSquaredError(reconstruction, images).item) * Double(batch.count)
        if shown.count == stretch { shown.append((model.image(images, 0), model.image(reconstruction, 0))) }
      }
    }
    let total = stretches * length
    try drawGrid(shown).writePNG(to: output)
    let usage = CodebookUsage(counts: uses)
    return Report(
      images: total, psnr: peakSignalToNoiseRatio(meanSquaredError: squaredError / Double(max(total, 1))),
      perplexity: Double(usage.perplexity), usage: Double(usage.usedShare))
  }

  /// Rows of originals, each with a row of their reconstructions below it.
  private static func drawGrid(_ shown: [(original: Image, reconstruction: Image)]) -> Image {
    let columns = min(8, max(shown.count, 1))
    var images: [Image] = []
    for row in stride(from: 0, to: shown.count, by: columns) {
      let pairs = shown[row..<min(row + columns, shown.count)]
      let blanks =
        pairs.first.map { pair in
          [Image](
            repeating: Image(
              width: pair.original.width, height: pair.original.height, color: (255, 255, 255)),
            count: columns - pairs.count)
        } ?? []
      images += pairs.map(\.original) + blanks + pairs.map(\.reconstruction) + blanks
    }
    // Small images are enlarged so that a person sees them.
    let side = shown.first?.original.width ?? 1
    return Image.grid(images.map { $0.enlarged(by: max(1, 96 / max(side, 1))) }, columns: columns, margin: 2)
  }
}

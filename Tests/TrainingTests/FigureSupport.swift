import Communication
import Datasets
import Foundation
import Imaging
import Layers
import Models
import Tensors
import Training

/// A dataset, tokenizers and transformers without training, for figures of them.
struct FigureWorkshop {
  let folder: String
  var dataset: String { folder + "/pictures.h5" }
  static let pictures = 30

  init(_ folder: String) throws {
    self.folder = folder
    _ = try DatasetSynthesis(count: Self.pictures, size: 40, seed: 1).write(dataset: folder + "/pictures.h5")
  }

  /// The middle of some pictures, or of all, as 32 × 32 pixels in one batch.
  func views(
    of indices: [Int]? = nil, mean: [Float] = [0.5, 0.5, 0.5], deviation: [Float] = [0.5, 0.5, 0.5]
  ) throws -> Tensor {
    let samples = SampleRecipe(
      seed: 9, augmentation: Augmentation(crop: .center(fraction: 1), flipProbability: 0),
      picture: PictureView(size: 32, mean: mean, deviation: deviation))
    let loader = try Loader(
      of: indices ?? Array(0..<Self.pictures), in: try PictureDataset(opening: dataset), samples,
      batchSize: Self.pictures)
    guard let pictures = try loader.next()?.pictures else { throw CocoaError(.fileReadUnknown) }
    return pictures
  }

  /// A tokenizer of 4 × 4 words whose codebook is made of what its encoder gives for the pictures; its checkpoint.
  func tokenizer(_ name: String, seed: UInt64, words: Int = 24, imageSize: Int = 32) throws -> String {
    let (configuration, resolved) = try TokenizerConfiguration.load(
      yaml: """
        data: {path: a, image_size: \(imageSize)}
        training: {steps: 1}
        model: {base_width: 8, channel_multipliers: [1, 1, 2, 2], blocks_per_level: 1}
        codebook: {size: \(words), word_length: 8}
        """, source: name)
    let model = try VQVAE(configuration.architecture, in: ParameterScope(seed: seed))
    let encoded = model.encode(try views())
    let stride = encoded.count / 8 / words
    model.quantizer.revive(
      words: Array(0..<words),
      with: Tensor(
        (0..<words).flatMap { word in
          (0..<8).map { encoded.pointer[word * stride * 8 + $0] }
        }, shape: [words, 8]))
    return try write(.tokenizer, resolved, model.parameters, name)
  }

  /// A transformer that predicts 4 × 4 words; its checkpoint.
  func transformer(_ name: String, seed: UInt64, tokens: String, words: Int = 24) throws -> String {
    let (configuration, resolved) = try PretrainConfiguration.load(
      yaml: """
        data: {path: a, image_size: 32, mean: [0.5, 0.4, 0.3], std: [0.2, 0.3, 0.4]}
        training: {steps: 1}
        model: {width: 24, depth: 2, heads: 3, patch_size: 8, layer_scale: null}
        masking: {count: 6, minimum_block: 2}
        tokens: {\(tokens)}
        """, source: name)
    var architecture = configuration.architecture
    architecture.initialDeviation = 0.5
    let scope = ParameterScope(seed: seed)
    _ = try MaskedImageModel(architecture, vocabulary: words, in: scope)
    return try write(.pretrain, resolved, scope.parameters, name)
  }

  /// Writes a checkpoint as a run's.
  private func write(
    _ kind: RunKind, _ configuration: String, _ parameters: [Parameter], _ name: String
  ) throws -> String {
    let run = "\(folder)/\(name)"
    try FileManager.default.createDirectory(atPath: run + "/checkpoints", withIntermediateDirectories: true)
    try Checkpoint.write(
      CheckpointHeader(
        kind: kind, step: 1, epoch: 0, samplePosition: 0, updates: 1, seed: 0, configuration: configuration),
      parameters: parameters, optimizer: nil, to: run + "/checkpoints/step-000000001.h5")
    return run
  }

  /// One picture of a batch that was normalised, as pixels.
  static func image(
    _ batch: Tensor, _ index: Int, mean: [Float] = [0.5, 0.5, 0.5], deviation: [Float] = [0.5, 0.5, 0.5]
  ) -> Image {
    let side = batch.shape[1]
    return Image(
      width: side, height: side,
      pixels: (0..<side * side * 3).map { place in
        let value = batch.pointer[index * side * side * 3 + place]
        return UInt8(min(255, max(0, (value * deviation[place % 3] + mean[place % 3]) * 255)).rounded())
      })
  }

  static func load(_ path: String) throws -> any Tokenizer {
    try TrainedTokenizer(path: path, communicator: Communicator()).model
  }
}

extension Image {
  /// The part that a table shows in a cell.
  func cell(_ table: PictureTable, row: Int, column: Int) throws -> Image {
    let (x, y) = table.origin(row: row, column: column)
    let picture = table.rows[row].pictures[column]
    return try cropped(to: Region(x: x, y: y, width: picture.width, height: picture.height))
  }

  /// Whether no value differs by more than `difference` from another picture's.
  func isNear(_ other: Image, within difference: Int) -> Bool {
    width == other.width && height == other.height
      && zip(pixels, other.pixels).allSatisfy { abs(Int($0) - Int($1)) <= difference }
  }
}

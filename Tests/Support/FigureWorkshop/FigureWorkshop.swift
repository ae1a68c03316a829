import Communication
import Configuration
import Datasets
import Foundation
import Imaging
import Layers
import MaskedImageModeling
import Models
import Preparation
import Tensors
import Tokenizers
import Trainer
import VQVAETraining
import Visualization

/// A dataset, tokenizers and transformers without training, for figures of them.
public struct FigureWorkshop {
  let folder: String
  public var dataset: String { folder + "/images.h5" }
  public static let images = 30

  public init(_ folder: String) throws {
    self.folder = folder
    _ = try DatasetSynthesis(count: Self.images, size: 40, seed: 1).write(dataset: folder + "/images.h5")
  }

  /// The middle of some images, or of all, as 32 × 32 pixels in one batch.
  public func views(
    of indices: [Int]? = nil, mean: [Float] = [0.5, 0.5, 0.5], deviation: [Float] = [0.5, 0.5, 0.5]
  ) throws -> Tensor {
    let samples = SamplePipeline(
      seed: 9, augmentation: Augmentation(crop: .center(fraction: 1), flipProbability: 0),
      image: ImagePreprocessing(size: 32, mean: mean, deviation: deviation))
    let loader = try Loader(
      of: indices ?? Array(0..<Self.images), in: try ImageDataset(opening: dataset), samples,
      batchSize: Self.images)
    guard let images = try loader.next()?.images else { throw CocoaError(.fileReadUnknown) }
    return images
  }

  /// A tokenizer of 4 × 4 tokens whose codebook is made of what its encoder gives for the images; its checkpoint.
  public func tokenizer(_ name: String, seed: UInt64, tokens: Int = 24, imageSize: Int = 32) throws -> String
  {
    let (configuration, resolved) = try TokenizerConfiguration.load(
      yaml: """
        data: {path: a, image_size: \(imageSize)}
        training: {steps: 1}
        model: {base_width: 8, channel_multipliers: [1, 1, 2, 2], blocks_per_level: 1}
        codebook: {size: \(tokens), dimension: 8}
        """, source: name)
    guard let family = configuration.member(VQVAEFamily.self) else { throw CocoaError(.featureUnsupported) }
    let architecture = family.architecture(configuration.settings)
    let model = try VQVAE(architecture, in: ParameterScope(seed: seed))
    let encoded = model.encode(try views())
    let vectors = encoded.reshaped([encoded.count / 8, 8])
    let stride = vectors.shape[0] / tokens
    model.quantizer.revive(
      entries: Array(0..<tokens),
      with: Tensor(
        (0..<tokens).flatMap { vectors[row: $0 * stride].elements }, shape: [tokens, 8]))
    let card = try TokenizerCard(family: VQVAEFamily.kind, architecture)
    return try write("vqvae", resolved, model.parameters, name, .tokenizer(card))
  }

  /// A transformer that predicts 4 × 4 tokens; its checkpoint.
  ///
  /// - Parameters:
  ///   - tokenizer: Whose tokens they are.
  ///   - tokens: The file that they came from; nil where they were computed in training.
  public func transformer(
    _ name: String, seed: UInt64, tokenizer: String, tokens: String? = nil, vocabulary: Int = 24
  ) throws -> String {
    let (configuration, resolved) = try PretrainConfiguration.load(
      yaml: """
        data: {path: a, image_size: 32, mean: [0.5, 0.4, 0.3], std: [0.2, 0.3, 0.4]}
        training: {steps: 1}
        model: {width: 24, depth: 2, heads: 3, patch_size: 8, layer_scale: null}
        masking: {count: 6, minimum_block: 2}
        tokens: {tokenizer: \(tokenizer)}
        """, source: name)
    var architecture = configuration.architecture
    architecture.initialDeviation = 0.5
    let scope = ParameterScope(seed: seed)
    _ = try MaskedImageModel(architecture, vocabulary: vocabulary, in: scope)
    let card = ModelCard(
      .init(
        architecture, norm: .tokens, hasMaskToken: true, head: .init(.tokens, outputs: vocabulary)),
      .init(configuration.shared.data),
      pretraining: .init(masking: .init(patches: 6, minimumBlock: 2)))
    let isThere = FileManager.default.fileExists(atPath: tokenizer)
    let checksum =
      isThere ? try TrainedTokenizer(path: tokenizer, communicator: Communicator()).checksum : 0
    var inputs = ["tokenizer": RunInput.Record(checksum: checksum, path: tokens == nil ? tokenizer : nil)]
    if let tokens { inputs["tokens"] = RunInput.Record(checksum: 0, path: tokens) }
    return try write(
      "masked_image_modeling", resolved, scope.parameters, name, .transformer(card), inputs: inputs)
  }

  /// Writes a checkpoint as a run's.
  private func write(
    _ task: String, _ configuration: String, _ parameters: [Parameter], _ name: String,
    _ card: Card, inputs: [String: RunInput.Record] = [:]
  ) throws -> String {
    let run = "\(folder)/\(name)"
    try FileManager.default.createDirectory(atPath: run + "/checkpoints", withIntermediateDirectories: true)
    try Checkpoint.write(
      CheckpointHeader(
        task: task, step: 1, epoch: 0, samplePosition: 0, updates: 1, seed: 0, configuration: configuration,
        card: card, inputs: inputs),
      parameters: parameters, optimizer: nil, to: run + "/checkpoints/step-000000001.h5")
    return run
  }

  /// One image of a batch that was normalized, as pixels.
  public static func image(
    _ batch: Tensor, _ index: Int, mean: [Float] = [0.5, 0.5, 0.5], deviation: [Float] = [0.5, 0.5, 0.5]
  ) -> Image {
    let side = batch.shape[1]
    return Image(
      width: side, height: side,
      pixels: batch[row: index].elements.enumerated().map { place, value in
        UInt8(min(255, max(0, (value * deviation[place % 3] + mean[place % 3]) * 255)).rounded())
      })
  }

  public static func load(_ path: String) throws -> any Tokenizer {
    try TrainedTokenizer(path: path, communicator: Communicator()).model
  }
}

extension Image {
  /// The part that a table shows in a cell.
  public func cell(_ table: ImageTable, row: Int, column: Int) throws -> Image {
    let (x, y) = table.origin(row: row, column: column)
    let image = table.rows[row].images[column]
    return try cropped(to: Region(x: x, y: y, width: image.width, height: image.height))
  }

  /// Whether no value differs by more than `difference` from another image's.
  public func isNear(_ other: Image, within difference: Int) -> Bool {
    width == other.width && height == other.height
      && zip(pixels, other.pixels).allSatisfy { abs(Int($0) - Int($1)) <= difference }
  }
}

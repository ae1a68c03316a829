import Communication
import Configuration
import Foundation
import Models
import Tensors
import Terminal
import Trainer

/// The weights of a vision transformer out of a checkpoint: of masked image modeling, of fine-tuning, or imported.
public struct TransformerWeights {
  /// The unit of a checkpoint that holds the exponential moving average of the weights.
  package static let average = "ema"

  /// The checkpoint.
  public let path: String
  /// What it is.
  public let card: ModelCard
  /// The values; on rank 0 alone.
  package let file: WeightFile?

  /// Opens a checkpoint, or the newest sound one of a run's directory. Collective; rank 0 reads for all.
  ///
  /// - Parameters:
  ///   - path: A checkpoint, or the directory of a run.
  ///   - averaged: Whether the moving averages are wanted in place of the weights themselves.
  ///   - communicator: All ranks.
  ///   - report: Told of every newer checkpoint that was passed over, and why.
  public init(
    opening path: String, averaged: Bool = false, communicator: Communicator,
    report: (String) -> Void = { _ in }
  ) throws {
    var file: WeightFile?
    card = try communicator.readOnRoot {
      let opened = try Self.open(path, averaged: averaged, report: report)
      file = opened.file
      return opened.card
    }
    self.path = try communicator.readOnRoot { file?.path ?? path }
    self.file = file
  }

  /// The model that the weights belong to, with their values. Collective.
  ///
  /// - Parameters:
  ///   - imageSize: Side of the images it is to see, where that is another than in training; positions are
  ///     interpolated.
  ///   - communicator: All ranks.
  public func loadModel(imageSize: Int? = nil, communicator: Communicator) throws -> any TransformerModel {
    let scope = ParameterScope(seed: 0, frozen: true)
    let model = try card.architecture.makeModel(in: scope, of: path, imageSize: imageSize)
    try communicator.readOnRoot(into: scope.parameters) {
      guard let file else { return }
      let fresh = try PretrainedWeights.fill(
        scope.parameters, from: file, of: card.architecture.transformer,
        target: model.backbone.configuration)
      guard fresh.isEmpty else {
        throw RunError("\(path) lacks \(fresh.joined(separator: ", ")), or has them in another shape")
      }
    }
    return model
  }

  /// What a checkpoint holds, on this rank.
  package static func open(
    _ path: String, averaged: Bool, report: (String) -> Void = { _ in }
  ) throws -> (file: WeightFile, card: ModelCard) {
    let path = try checkpointFile(path, report: report)
    let card = try card(of: path)
    guard try !averaged || Checkpoint.holds(average, anchor, in: path) else {
      throw RunError("\(path) holds no moving averages; train with ema.decay to have them")
    }
    let file = try WeightFile(opening: path, unit: averaged ? average : CheckpointUnit.model, anchor: anchor)
    return (WeightFile(file) { !MomentumContrast.isBesideEncoder($0) }, card)
  }

  /// What a checkpoint file says of its transformer; throws where there is none.
  package static func card(of path: String) throws -> ModelCard {
    let header = try Checkpoint.header(of: path)
    guard let card = header.card?.transformer else {
      throw RunError("\(path) is of task '\(header.task)'; a vision transformer's checkpoint is needed")
    }
    return card
  }

  /// A name that every transformer's weights have.
  private static let anchor = "patch_embed.proj.weight"

  /// A checkpoint file: the one given, or the newest sound one of a run's directory.
  package static func checkpointFile(_ path: String, report: (String) -> Void = { _ in }) throws -> String {
    guard FileManager.default.fileExists(atPath: path) else {
      throw RunError("there is no checkpoint at \(path); give a checkpoint file or a run's directory")
    }
    let file = try RunDirectory.checkpointFile(path, report: report)
    guard !file.hasSuffix(".safetensors") else {
      throw RunError("\(path) is no checkpoint of peco; make one of it with `peco import`")
    }
    return file
  }

  /// The heads of each block that a table of relative positions has a column for, if there is one.
  package static func attentionHeads(_ shapes: [String: [Int]]) -> Int? {
    let ofBlocks = shapes.keys.filter { NameRule.block(of: $0, in: WeightLayout.table) != nil }.sorted()
    for name in [WeightLayout.sharedTable] + ofBlocks {
      if let table = shapes[name], table.count == 2 { return table[1] }
    }
    return nil
  }
}

import Communication
import Configuration
import Datasets
import Evaluation
import Foundation
import Interoperability
import Logging
import Models
import Storage
import Tensors
import Terminal
import Trainer

/// `peco features`: what a transformer makes of images.
public enum FeatureExtraction {
  /// The request of `peco features`.
  public struct Request: Sendable {
    public var checkpoint: String
    public var averaged: Bool
    public var dataset: String
    public var output: String
    /// After how many blocks tokens are read; nil: after the last, and normalized.
    public var block: Int?
    public var pooling: FrozenTransformer.Pooling
    public var view: FrozenTransformer.View

    public init(
      checkpoint: String, averaged: Bool, dataset: String, output: String, block: Int?,
      pooling: FrozenTransformer.Pooling, view: FrozenTransformer.View
    ) {
      self.checkpoint = checkpoint
      self.averaged = averaged
      self.dataset = dataset
      self.output = output
      self.block = block
      self.pooling = pooling
      self.view = view
    }
  }

  /// Writes the features of every image of a dataset; every rank computes a part of them, rank 0 writes. Collective.
  public static func run(_ request: Request, communicator: Communicator) throws {
    let logger = ConsoleLog.logger(rank: communicator.rank)
    try communicator.agree {
      guard communicator.isRoot else { return }
      try FileSystem.requireOutput(request.output, madeFrom: [request.dataset, request.checkpoint])
    }
    let source = try FrozenTransformer(
      request.checkpoint, averaged: request.averaged, view: request.view, communicator: communicator)
    let dataset = try ImageDataset.open(request.dataset, on: communicator)
    let configuration = source.model.backbone.configuration
    try source.require(block: request.block)
    let shape =
      request.pooling == .none ? [configuration.tokens, configuration.width] : [configuration.width]
    let size = shape.reduce(1, *)

    /// The features of all images to the file, which rank 0 has.
    func compute(_ file: HDF5File?) throws {
      try communicator.forEachRound(of: dataset.count, stretch: request.view.batchSize * 8, logger: logger) {
        range in
        var values: [Float] = []
        try source.forEachBatch(of: source.data(of: dataset), range) { images, _ in
          values += source.tokens(images, block: request.block, pooling: request.pooling).elements
        }
        return values.withUnsafeBytes { Array($0) }
      } write: { parts, first in
        var row = first
        for bytes in parts {
          let values = bytes.withUnsafeBytes { Array($0.bindMemory(to: Float.self)) }
          if !values.isEmpty { try file?.writeSlab(values, to: "features", row: row) }
          row += values.count / size
        }
      }
    }
    guard communicator.isRoot else { return try compute(nil) }
    try HDF5File.atomicallyWrite(to: request.output) { file in
      try file.setAttribute("format", "peco-features")
      try file.setAttribute("format_version", 1)
      try file.setAttribute("images", dataset.count)
      try file.setAttribute("block", request.block ?? configuration.depth)
      try file.setAttribute("normalized", source.isNormalized(block: request.block, request.pooling) ? 1 : 0)
      try file.setAttribute("pooling", request.pooling.rawValue)
      try file.setAttribute("checkpoint", (source.path as NSString).lastPathComponent)
      try file.setAttribute("model_card", try source.card.json())
      try file.setAttribute("dataset_fingerprint", dataset.fingerprint)
      try file.write(dataset.labels, shape: [dataset.count], to: "labels")
      try file.createDataset("features", shape: [dataset.count] + shape, of: Float.self)
      try compute(file)
    }
    logger.notice("\(request.output): \(dataset.count) images, \(shape) numbers each")
  }
}

extension FrozenTransformer {
  /// Throws where there is no such block.
  func require(block: Int?) throws {
    let depth = model.backbone.configuration.depth
    guard let block else { return }
    guard (0...depth).contains(block) else {
      throw RunError(
        "\(path) has \(depth) blocks; --block is \(block), must be 0 (the embedding) to \(depth)")
    }
  }
}

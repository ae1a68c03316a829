import Communication
import Configuration
import Foundation
import Models
import Tensors
import Terminal
import TokenizerSupport
import Trainer

/// A tokenizer that has been trained, ready to turn images into tokens and back.
public struct TrainedTokenizer {
  /// The model; its parameters are frozen.
  public let model: any Tokenizer
  /// The configuration it was trained with, `data.image_size` that of the images it is shown.
  public let configuration: TokenizerConfiguration
  /// The checkpoint it came from.
  public let path: String
  /// A checksum over its weights: tokens of tokenizers with the same checksum are the same.
  public let checksum: UInt64

  /// Which images it is shown. Weights do not depend on their size.
  public enum Size: Sendable {
    /// Those of its training.
    case trained
    /// So many pixels a side.
    case pixels(Int)
    /// So many tokens a side.
    case tokens(Int)
  }

  /// Loads a checkpoint, or the newest sound one of a run's directory. Collective; rank 0 reads for all.
  public init(
    path: String, size: Size = .trained, communicator: Communicator, report: (String) -> Void = { _ in }
  ) throws {
    let file = try communicator.readOnRoot { try Self.checkpointFile(path, report: report) }
    let text = try communicator.readOnRoot { try Self.configurationText(file) }
    var (configuration, _) = try TokenizerConfiguration.load(yaml: text, source: file)
    let patch = configuration.settings.model.patchSize
    switch size {
    case .trained: break
    case .pixels(let side):
      guard side > 0, side % patch == 0 else {
        throw RunError(
          "\(file) has one token for \(patch)² pixels: images of \(side)² cannot be cut into tokens; the side must "
            + "be a multiple of \(patch)")
      }
      configuration.settings.shared.data.imageSize = side
    case .tokens(let grid): configuration.settings.shared.data.imageSize = grid * patch
    }
    let scope = ParameterScope(seed: 0, frozen: true)
    let model = try configuration.family.makeModel(configuration.settings, in: scope)
    try communicator.readOnRoot(into: scope.parameters) {
      _ = try Checkpoint.load(file, into: scope.parameters, includingFrozen: true)
    }
    self.model = model
    self.configuration = configuration
    self.path = file
    checksum = weightChecksum(scope.parameters)
  }

  private static func checkpointFile(_ path: String, report: (String) -> Void) throws -> String {
    guard FileManager.default.fileExists(atPath: path) else {
      throw RunError("there is no tokenizer at \(path); train one with `peco tokenizer train`")
    }
    return try RunDirectory.checkpointFile(path, report: report)
  }

  private static func configurationText(_ file: String) throws -> String {
    let header = try Checkpoint.header(of: file)
    guard TokenizerConfiguration.families.contains(where: { $0.kind == header.task }) else {
      throw RunError("\(file) is a checkpoint of task '\(header.task)'; a tokenizer's is needed")
    }
    return header.configuration
  }
}

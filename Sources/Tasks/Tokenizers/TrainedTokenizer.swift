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
  /// What it is, as its checkpoint says.
  public let card: TokenizerCard
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
    let card = try communicator.readOnRoot { try Self.card(of: file) }
    let scope = ParameterScope(seed: 0, frozen: true)
    model = try Self.makeModel(Self.family(of: card, file), card, size, of: file, in: scope)
    try communicator.readOnRoot(into: scope.parameters) {
      _ = try Checkpoint.load(file, into: scope.parameters, includingFrozen: true)
    }
    self.card = card
    self.path = file
    checksum = weightChecksum(scope.parameters)
  }

  private static func checkpointFile(_ path: String, report: (String) -> Void) throws -> String {
    guard FileManager.default.fileExists(atPath: path) else {
      throw RunError("there is no tokenizer at \(path); train one with `peco tokenizer train`")
    }
    return try RunDirectory.checkpointFile(path, report: report)
  }

  /// What a checkpoint file says of its tokenizer; throws where there is none.
  private static func card(of file: String) throws -> TokenizerCard {
    let header = try Checkpoint.header(of: file)
    if let card = header.card?.tokenizer { return card }
    guard header.card == nil, TokenizerConfiguration.families.contains(where: { $0.kind == header.task })
    else {
      throw RunError("\(file) is a checkpoint of task '\(header.task)'; a tokenizer's is needed")
    }
    throw CheckpointError(
      path: file, problem: "has no model card, which tells what the tokenizer is",
      advice: "train or import it again with this version")
  }

  private static func family(of card: TokenizerCard, _ file: String) throws -> any TokenizerFamily.Type {
    let families = TokenizerConfiguration.families
    guard let family = families.first(where: { $0.kind == card.family }) else {
      throw RunError(
        "\(file) is a tokenizer of the family '\(card.family)'; this program knows "
          + families.map { $0.kind }.joined(separator: " and "))
    }
    return family
  }

  private static func makeModel<Family: TokenizerFamily>(
    _ family: Family.Type, _ card: TokenizerCard, _ size: Size, of file: String, in scope: ParameterScope
  ) throws -> any Tokenizer {
    var architecture: Family.Architecture
    do {
      architecture = try card.architecture()
    } catch let error as ModelCardError {
      throw CheckpointError(path: file, card: error)
    }
    let patch = architecture.patchSize
    switch size {
    case .trained: break
    case .pixels(let side):
      guard side > 0, side % patch == 0 else {
        throw RunError(
          "\(file) has one token for \(patch)² pixels: images of \(side)² cannot be cut into tokens; the side must "
            + "be a multiple of \(patch)")
      }
      architecture.imageSize = side
    case .tokens(let grid): architecture.imageSize = grid * patch
    }
    return try family.makeModel(architecture, in: scope)
  }
}

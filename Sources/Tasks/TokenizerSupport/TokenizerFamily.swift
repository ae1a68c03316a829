import Configuration
import Models
import Tensors
import Trainer

/// A family of tokenizers: its part of a configuration, and how its card, its model and its training are made.
///
/// A value holds what the family's own keys say. Keys of all families are read whatever `model.kind` is: in a file they
/// may wait for it.
public protocol TokenizerFamily: Sendable, Equatable {
  /// What a network of the family is; cards carry it.
  associatedtype Architecture: TokenizerArchitecture

  /// The value of `model.kind`, which is also the family's name in cards, and that of the task in checkpoints.
  static var kind: String { get }
  /// Whether the decoder gives a distribution, by whose likelihood pixels can be compared.
  static var hasLikelihood: Bool { get }
  /// Keys, and sections of keys, that count in this family alone.
  static var ownKeys: [String] { get }

  /// Puts the family's own sizes in place of those that are the default otherwise.
  static func setDefaults(of settings: inout TokenizerSettings)
  /// Asks for the family's own keys.
  init(_ reader: ConfigurationReader)
  /// Demands that values go together, after all have been read.
  ///
  /// - Parameters:
  ///   - settings: What every family has, as read.
  ///   - isChosen: Whether the tokenizer is of this family.
  ///   - reader: Takes up what is wrong, under the keys at fault.
  func validate(_ settings: TokenizerSettings, isChosen: Bool, _ reader: ConfigurationReader)

  /// The network that a configuration describes.
  func architecture(_ settings: TokenizerSettings) -> Architecture
  /// Makes a network, its parameters in a scope.
  static func makeModel(_ architecture: Architecture, in scope: ParameterScope) throws -> any Tokenizer
  /// Makes the task.
  ///
  /// - Parameters:
  ///   - settings: What every family has.
  ///   - perceptual: The network whose features are compared; nil for a loss on pixels alone.
  func makeTask(
    _ settings: TokenizerSettings, perceptual: (any PerceptualNetwork)?
  ) throws -> any TrainingTask
  /// What is to be told of a run whose micro-batches are not of the size that was asked for, if anything is.
  func warning(microBatchSize: Int, ranks: Int, _ settings: TokenizerSettings) -> String?
}

extension TokenizerFamily {
  public static var hasLikelihood: Bool { false }
  public static func setDefaults(of settings: inout TokenizerSettings) {}
  public func validate(_ settings: TokenizerSettings, isChosen: Bool, _ reader: ConfigurationReader) {}
  public func warning(microBatchSize: Int, ranks: Int, _ settings: TokenizerSettings) -> String? { nil }

  /// The card of the tokenizer that a configuration describes.
  public func card(_ settings: TokenizerSettings) throws -> TokenizerCard {
    try TokenizerCard(
      family: Self.kind, architecture(settings), TokenizerCard.Preprocessing(settings.shared.data))
  }

  /// Whether another value is of the same family and says the same.
  package func isEqual(to other: any TokenizerFamily) -> Bool { other as? Self == self }
}

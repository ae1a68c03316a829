import DVAETraining
import TokenizerSupport
import VQVAETraining

extension TokenizerConfiguration {
  /// Every kind of tokenizer there is. A new one is entered here.
  package static let families: [TokenizerFamily] = [.vqvae, .dvae]

  /// The kind of tokenizer that the configuration describes.
  package var family: TokenizerFamily {
    Self.families.first { $0.kind == model.kind } ?? .vqvae
  }
}

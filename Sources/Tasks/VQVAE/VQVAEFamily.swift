import Models
import TokenizerSupport

extension TokenizerFamily {
  /// PeCo's tokenizer.
  package static let vqvae = TokenizerFamily(
    .vqvae, makeModel: { try VQVAE($0.architecture, in: $1) },
    makeTask: { try VQVAETask($0, perceptual: $1) })
}

import Models
import TokenizerSupport

extension TokenizerFamily {
  /// BEiT's tokenizer.
  package static let dvae = TokenizerFamily(
    .dvae, makeModel: { try DVAE($0.discreteArchitecture, in: $1) },
    makeTask: { try DVAETask($0, perceptual: $1) })
}

import Classification
import Configuration
import Foundation
import MaskedImageModeling
import Models
import MomentumContrastTraining
import Tokenizers

extension FuzzTarget {
  /// A model card, in JSON.
  static let card = FuzzTarget(name: "card") { bytes in
    let card = try Card(json: String(decoding: bytes, as: UTF8.self))
    let again = try Card(json: card.json())
    precondition(again == card, "a card is another one after its text")
    if let transformer = card.transformer { _ = transformer.architecture.transformer.hiddenWidth }
    guard let tokenizer = card.tokenizer else { return }
    _ = try? tokenizer.architecture(as: VQVAEConfiguration.self)
    _ = try? tokenizer.architecture(as: DVAEConfiguration.self)
  }

  /// A configuration in YAML, of one of the tasks by the first byte; options follow behind zero bytes.
  static let configuration = FuzzTarget(name: "configuration") { input in
    let parts = input.dropFirst().split(separator: 0, maxSplits: 4).map {
      String(decoding: $0, as: UTF8.self)
    }
    let reader = try ConfigurationReader(yaml: parts.first ?? "", overrides: Array(parts.dropFirst()))
    switch (input.first ?? 0) % 4 {
    case 0: _ = TokenizerConfiguration(reader)
    case 1: _ = PretrainConfiguration(reader)
    case 2: _ = FinetuneConfiguration(reader)
    default: _ = PerceptualConfiguration(reader)
    }
    _ = try reader.finish()
  }
}

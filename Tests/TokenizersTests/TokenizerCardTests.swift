import Communication
import Configuration
import FigureWorkshop
import Foundation
import Imaging
import Interoperability
import Models
import Tensors
import TestSupport
import Testing
import TokenizerSupport
import Tokenizers
import Trainer

/// What checkpoints say of their tokenizers.
@Suite struct TokenizerCardTests {
  private func configuration(_ model: String, _ codebook: String) throws -> TokenizerConfiguration {
    try TokenizerConfiguration.load(
      yaml: """
        data: {path: a, image_size: 40, interpolation: lanczos}
        training: {steps: 1}
        model: {base_width: 8, channel_multipliers: [1, 3, 2], blocks_per_level: 1, \(model)}
        codebook: {size: 12, dimension: 6, \(codebook)}
        """, source: "test"
    ).configuration
  }

  private func failure(_ body: () throws -> Void) -> String {
    let error = #expect(throws: (any Error).self) { try body() }
    return error.map { "\($0)" } ?? ""
  }

  /// The parameters of a card's model.
  private func parameters<Family: TokenizerFamily>(
    _ family: Family, _ card: TokenizerCard
  ) throws -> [Parameter] {
    try Family.makeModel(card.architecture(), in: ParameterScope(seed: 1)).parameters
  }

  @Test func aModelComesBackFromItsCard() throws {
    for configuration in [
      try configuration("attention: false", "learning: gradient, normalize: true"),
      try configuration("attention: true", "decay: 0.5, commitment_weight: 3"),
      try configuration("kind: dvae", ""),
    ] {
      let (family, settings) = (configuration.family, configuration.settings)
      let task = try family.makeTask(settings, perceptual: nil)
      let text = try #require(task.card).json()
      #expect(!text.contains("\n") && text.contains(#""kind":"tokenizer""#), "\(text)")
      // What matters in training alone is not written.
      #expect(!text.contains("decay") && !text.contains("commitment"), "\(text)")
      let card = try #require(try Card(json: text).tokenizer)
      #expect(try card == family.card(settings))
      #expect(card.family == configuration.kind && card.preprocessing.interpolation == .lanczos)
      let found = try parameters(family, card)
      #expect(found.map(\.name) == task.parameters.map(\.name))
      #expect(found.map(\.shape) == task.parameters.map(\.shape))
    }
    var vqgan = VQVAEConfiguration()
    (vqgan.extraDecoderBlocks, vqgan.normalizationGroups, vqgan.imageSize) = (1, 16, 256)
    #expect(try TokenizerCard(family: "vqvae", vqgan).architecture() == vqgan)
  }

  @Test func whatCannotBeIsRefused() throws {
    let text = try Card.tokenizer(TokenizerCard(family: "vqvae", VQVAEConfiguration())).json()
    for (part, other, problem) in [
      (#""kind":"tokenizer","#, "", "kind is missing"),
      (#""kind":"tokenizer""#, #""kind":"segmenter""#, "kind has a value that is not known"),
      (#""family":"vqvae","#, "", "family is missing"),
      (#""bicubic""#, #""cubic""#, "preprocessing.interpolation has a value that is not known"),
      (#""base_width":64,"#, "", "architecture.base_width is missing"),
      (#""base_width":64"#, #""base_width":"64""#, "architecture.base_width is no Int"),
      (#""base_width":64"#, #""base_width":4000000000000000000"#, "baseWidth is 4000000000000000000"),
      (#""image_size":224"#, #""image_size":225"#, "give a multiple of 16"),
    ] {
      #expect(text.contains(part))
      let error = #expect(throws: ModelCardError.self) {
        let card = try Card(json: text.replacingOccurrences(of: part, with: other))
        _ = try card.tokenizer?.architecture(as: VQVAEConfiguration.self)
      }
      #expect("\(try #require(error))".contains(problem), "\(problem)")
    }
    let kind = #expect(throws: ModelCardError.self) { try ModelCard(json: text) }
    #expect("\(try #require(kind))".contains("that of a tokenizer, a transformer's is needed"))
    // The architecture of another family.
    let other = try TokenizerCard(family: "dvae", VQVAEConfiguration())
    #expect(failure { _ = try other.architecture(as: DVAEConfiguration.self) }.contains("blocks_per_group"))
  }

  @Test func aCheckpointIsReadByItsCardAlone() throws {
    try withTemporaryFolder { folder in
      let workshop = try FigureWorkshop(folder)
      let trained = try TrainedTokenizer(
        path: try workshop.tokenizer("run", seed: 1), communicator: Communicator())
      let header = try Checkpoint.header(of: trained.path)
      let model = try VQVAE(trained.card.architecture(), in: ParameterScope(seed: 2))
      _ = try Checkpoint.load(trained.path, into: model.parameters)
      let copy = folder + "/copy.h5"
      func load(_ change: (inout CheckpointHeader) throws -> Void) throws -> TrainedTokenizer {
        var changed = header
        try change(&changed)
        try Checkpoint.write(changed, parameters: model.parameters, optimizer: nil, to: copy)
        return try TrainedTokenizer(path: copy, communicator: Communicator())
      }
      // The configuration is not looked at.
      let same = try load { $0.configuration = "no: [yaml" }
      #expect(same.checksum == trained.checksum && same.card == trained.card)
      #expect(header.card == .tokenizer(trained.card))

      let missing = failure { _ = try load { $0.card = nil } }
      #expect(missing.contains("copy.h5: has no model card") && missing.contains("import it again"))
      let unknown = failure {
        _ = try load { $0.card = .tokenizer(try TokenizerCard(family: "fsq", VQVAEConfiguration())) }
      }
      #expect(unknown.contains("family 'fsq'") && unknown.contains("knows vqvae and dvae"))
      let other = failure {
        _ = try load { $0.card = .tokenizer(try TokenizerCard(family: "dvae", VQVAEConfiguration())) }
      }
      #expect(other.contains("card cannot be read: architecture.blocks_per_group is missing"))

      let transformer = try workshop.transformer("vit", seed: 1, tokenizer: folder + "/run")
      let wrong = failure { _ = try TrainedTokenizer(path: transformer, communicator: Communicator()) }
      #expect(wrong.contains("task 'masked_image_modeling'; a tokenizer's is needed"))
      let turned = failure { _ = try TransformerWeights(opening: copy, communicator: Communicator()) }
      #expect(turned.contains("task 'vqvae'; a vision transformer's checkpoint is needed"))
    }
  }
}

import Communication
import Configuration
import Foundation
import Interoperability
import Models
import Storage
import Tensors
import Terminal
import TestSupport
import Testing
import Trainer

/// Weights that are whole, and those of another network than ours.
@Suite struct ForeignWeightsTests {
  private static func fixture(_ name: String) -> String {
    URL(fileURLWithPath: #filePath).deletingLastPathComponent()
      .appendingPathComponent("Fixtures/\(name)").path
  }

  private static func published(_ name: String, _ layout: WeightLayout) throws -> [Tensors] {
    try WeightConversionTests.contents(of: fixture("transfer/\(name).safetensors"))
  }
  private typealias Tensors = (name: String, shape: [Int], values: [Float])

  /// What comes of weights, or why nothing does.
  private func imported(
    _ tensors: [Tensors], layout: WeightLayout = .timm, told: WeightDescription = WeightDescription(heads: 3),
    ignoring exceptions: Set<String> = []
  ) throws -> Result<ModelCard, RunError> {
    try withTemporaryFolder { folder in
      let (source, output) = (folder + "/model.safetensors", folder + "/out.h5")
      try SafetensorsFile.write(tensors: tensors, to: source)
      do {
        let report = try WeightConversion.importWeights(
          .init(source: source, layout: layout, output: output, told: told, ignoring: exceptions))
        #expect(report.isWritten)
        return .success(try #require(try Checkpoint.header(of: output).card?.transformer))
      } catch let error as RunError {
        #expect(!FileManager.default.fileExists(atPath: output))
        return .failure(error)
      }
    }
  }

  private func refusal(_ result: Result<ModelCard, RunError>) -> String {
    if case .failure(let error) = result { return "\(error)" }
    Issue.record("nothing was refused")
    return ""
  }

  // MARK: - A body with more than ours has

  @Test(arguments: [
    ("blocks.0.attn.q_norm.weight", [4]), ("reg_token", [1, 4, 12]), ("norm_pre.weight", [12]),
    ("rope.freqs", [2, 2]), ("blocks.1.mlp.norm.weight", [24]), ("dist_token", [1, 1, 12]),
    ("blocks.0.attn.qkv.extra", [1]), ("something.weight", [2]),
  ])
  func aBodyWithMoreIsAnotherNetwork(_ name: String, _ shape: [Int]) throws {
    var tensors = try Self.published("timm_vit", .timm)
    tensors.append((name, shape, [Float](repeating: 0.5, count: shape.reduce(1, *))))
    let message = refusal(try imported(tensors))
    #expect(message.contains("\(name) \(shape)") && message.contains("--ignore"), "\(message)")
    // Who knows that it changes nothing may say so.
    _ = try imported(tensors, ignoring: [name]).get()
  }

  @Test(arguments: [
    "decoder_blocks.0.norm1.weight", "decoder_embed.weight", "pooler.dense.weight", "classifier.weight",
    "attn_pool.latent", "projector.0.weight", "heads.head.weight",
  ])
  func headsAndDecodersAreReported(_ name: String) throws {
    var tensors = try Self.published("timm_vit", .timm)
    tensors.append((name, [2], [1, 2]))
    _ = try imported(tensors).get()
  }

  /// Of a plain transformer every bias of queries, keys and values would be lost.
  @Test func aPlainTransformerIsNotBEiTs() throws {
    let message = refusal(try imported(try Self.published("timm_vit", .timm), layout: .beit))
    #expect(message.contains("blocks.0.attn.qkv.bias"), "\(message)")
  }

  @Test func moreThanOneNameForTheSameIsRefused() throws {
    var tensors = try Self.published("timm_vit", .timm)
    let scale = try #require(tensors.first { $0.name == "blocks.0.ls1.gamma" })
    tensors.append(("blocks.0.gamma_1", scale.shape, scale.values))
    #expect(refusal(try imported(tensors)).contains("stands for the same"))
  }

  // MARK: - What neither names nor shapes tell

  @Test func positionsThatAreNotThereHaveToBeSaid() throws {
    let tensors = try Self.published("timm_vit", .timm).filter { $0.name != "pos_embed" }
    let message = refusal(try imported(tensors))
    #expect(message.contains("rotary") && message.contains("--set model.positions=none"), "\(message)")
    let told = try WeightDescription(settings: [
      "model.heads=3", "model.positions=none", "data.image_size=40",
    ])
    let card = try imported(tensors, told: told).get()
    #expect(card.architecture.positions == [] && card.architecture.imageHeight == 40)
    // Said of weights that have others.
    let wrong = try WeightDescription(settings: ["model.heads=3", "model.positions=none"])
    #expect(refusal(try imported(try Self.published("timm_vit", .timm), told: wrong)).contains("absolute"))
  }

  /// EVA's have BEiT's biases and absolute positions, and rotary ones that no tensor shows.
  @Test func absolutePositionsWithBEiTsBiasesHaveToBeSaid() throws {
    var tensors = try Self.published("timm_beit", .timm).filter { !$0.name.contains("relative_position") }
    tensors.append(("pos_embed", [1, 17, 12], [Float](repeating: 0.1, count: 17 * 12)))
    let message = refusal(try imported(tensors))
    #expect(message.contains("--set model.positions=absolute"), "\(message)")
    let told = try WeightDescription(settings: ["model.heads=3", "model.positions=absolute"])
    #expect(try imported(tensors, told: told).get().architecture.positions == [.absolute])
  }

  @Test func headsMustBeThoseOfTheTable() throws {
    let message = refusal(
      try imported(try Self.published("timm_beit", .timm), told: WeightDescription(heads: 6)))
    #expect(message.contains("6 attention heads") && message.contains("has 3"), "\(message)")
  }

  @Test func settingsAreReadStrictly() throws {
    for (settings, key) in [
      (["model.widht=3"], "model.widht"),
      (["model.positions=rotary"], "none, shared_relative, relative, absolute"),
      (["data.mean=[1, 2, 3]"], "data.mean"), (["data.mean=[0.5, 0.5, 0.5]"], "data.std"),
      (["model.heads=0"], "model.heads"),
    ] {
      let error = #expect(throws: ConfigurationError.self) { try WeightDescription(settings: settings) }
      #expect("\(try #require(error))".contains(key))
    }
  }

  // MARK: - Values

  @Test(arguments: [Float.nan, .infinity, -.infinity]) func valuesAreFinite(_ value: Float) throws {
    var tensors = try Self.published("timm_vit", .timm)
    let place = try #require(tensors.firstIndex { $0.name == "blocks.1.mlp.fc2.weight" })
    tensors[place].values[5] = value
    let message = refusal(try imported(tensors))
    #expect(message.contains("'blocks.1.mlp.fc2.weight'") && message.contains("element 5"), "\(message)")
  }

  // MARK: - Whole weights in other forms

  /// A model of the mean of patches without its pooler ends without a norm: its features are the raw tokens.
  @Test(arguments: ["raw/model.safetensors", "raw", "sharded", "sharded/model.safetensors.index.json"])
  func aModelWithoutItsPoolerEndsWithoutANorm(_ name: String) throws {
    let fixture = try FixtureFile("foreign.h5")
    try withTemporaryFolder { folder in
      let output = folder + "/out.h5"
      let report = try WeightConversion.importWeights(
        .init(
          source: Self.fixture("foreign/\(name)"), layout: .huggingface, output: output, isStrict: true))
      #expect(report.isWritten && report.unmatched == [])
      let weights = try TransformerWeights(opening: output, communicator: Communicator())
      #expect(weights.card.architecture.norm == nil && weights.card.architecture.heads == 3)
      let model = try weights.loadModel(communicator: Communicator()).backbone
      let tokens = model.norm(model.features(try fixture.tensor("images"), blocks: [2])[0])
      #expect(relativeError(tokens, try fixture.tensor("tokens")) < 1e-5)

      // Without what lies beside it, it has to be said.
      let bare = folder + "/bare/model.safetensors"
      try FileManager.default.createDirectory(atPath: folder + "/bare", withIntermediateDirectories: false)
      try SafetensorsFile.write(
        tensors: try WeightConversionTests.contents(of: Self.fixture("foreign/raw/model.safetensors")),
        to: bare)
      var request = WeightConversion.ImportRequest(source: bare, layout: .huggingface, output: output)
      let error = #expect(throws: RunError.self) { try WeightConversion.importWeights(request) }
      #expect("\(try #require(error))".contains("--set model.norm=none"))
      request.told = try WeightDescription(settings: ["model.norm=none"])
      _ = try WeightConversion.importWeights(request)

      // Exported, it is the same.
      let exported = folder + "/model.safetensors"
      _ = try WeightConversion.export(
        checkpoint: output, layout: .huggingface, output: exported, averaged: false)
      let again = try WeightConversion.importWeights(
        .init(source: exported, layout: .huggingface, output: folder + "/again.h5"))
      #expect(again.unmatched == [])
    }
  }

  @Test func aCheckpointNeedsNoImport() throws {
    try withTemporaryFolder { folder in
      let output = folder + "/out.h5"
      _ = try WeightConversion.importWeights(
        .init(source: Self.fixture("foreign/raw"), layout: .huggingface, output: output))
      let error = #expect(throws: (any Error).self) {
        try WeightConversion.importWeights(.init(source: output, layout: .beit, output: folder + "/b.h5"))
      }
      #expect("\(try #require(error))".contains("needs no import"))
    }
  }
}

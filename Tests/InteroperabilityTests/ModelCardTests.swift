import Configuration
import Datasets
import Foundation
import Imaging
import Layers
import Models
import Storage
import TestSupport
import Testing
import Trainer

@Suite struct ModelCardTests {
  private func card(classes: [String]) -> ModelCard {
    var transformer = VisionTransformerConfiguration(.large)
    (transformer.imageSize, transformer.mlpRatio, transformer.normEpsilon) = (336, 8 / 3, 1e-12)
    (transformer.positions, transformer.qkvBias) = ([.absolute, .relative], .full)
    return ModelCard(
      .init(transformer, norm: .pooled, hasMaskToken: true, head: .init(.classes, outputs: classes.count)),
      .init(
        normalization: ImageNormalization(mean: [0.1, 0.2, 0.3], standardDeviation: [0.4, 0.5, 1 / 3]),
        interpolation: .lanczos, resize: 384), classes: classes)
  }

  @Test func comesBackFromJSONAsItWas() throws {
    let card = card(classes: ["wren", "a \"crow\"", "größer"])
    let text = try card.json()
    #expect(!text.contains("\n") && text.contains(#""positions":["relative","absolute"]"#), "\(text)")
    #expect(try ModelCard(json: text) == card)
    #expect(card.architecture.transformer.hiddenWidth == 2731)
  }

  @Test(arguments: [ModelCard.Masking.Kind.blockwise, .random])
  func tellsHowPatchesWereHidden(_ kind: ModelCard.Masking.Kind) throws {
    var card = ModelCard(
      .init(.init(.base), norm: .tokens, hasMaskToken: true, head: .init(.tokens, outputs: 8192)))
    let masking = ModelCard.Masking(kind, patches: 80, minimumBlock: 12, minimumAspect: 0.25)
    card.pretraining = .init(masking: masking, tokenInterpolation: .lanczos)
    let read = try ModelCard(json: card.json())
    #expect(read == card && read.architecture.vocabulary == 8192)
    let generator = try #require(read.pretraining).masking.generator(grid: 14)
    let expected: MaskGenerator.Kind =
      kind == .random ? .random : .blockwise(minimumBlock: 12, minimumAspect: 0.25)
    #expect(generator.count == 80 && generator.height == 14 && generator.kind == expected)
  }

  @Test func aHeadThatNobodyKnowsIsRefused() throws {
    let text = try card(classes: ["a"]).json()
    let other = text.replacingOccurrences(of: #""kind":"classes""#, with: #""kind":"boxes""#)
    #expect(other != text)
    let error = #expect(throws: ModelCardError.self) { try ModelCard(json: other) }
    #expect("\(try #require(error))".contains("architecture.head.kind"))
  }

  @Test func tellsTheTransformerThatItWasMadeOf() throws {
    for positions in [VisionTransformerConfiguration.Positions.sharedRelative, .relative, .absolute] {
      var transformer = VisionTransformerConfiguration(.small)
      transformer.positions = positions
      if positions == .relative { transformer.layerScale = nil }
      #expect(ModelCard.Architecture(transformer, norm: .tokens).transformer == transformer)
    }
    // Fixed positions lie among the weights.
    var fixed = VisionTransformerConfiguration(.small)
    fixed.positions = .sinCos
    #expect(ModelCard.Architecture(fixed, norm: .tokens).positions == [.absolute])
  }

  /// More of them than an attribute of fixed length holds.
  @Test func aCheckpointHasTheNamesOfManyClasses() throws {
    try withTemporaryFolder { folder in
      let card = card(classes: (0..<21841).map { "n\(10_000_000 + $0)" })
      let header = CheckpointHeader(
        from: .init(files: ["weights/a \"b\".safetensors"], layout: "timm"), card: .transformer(card))
      try Checkpoint.write(header, parameters: [], to: folder + "/a.h5")
      let read = try Checkpoint.header(of: folder + "/a.h5")
      #expect(read == header && read.origin?.files == ["a \"b\".safetensors"])
    }
  }

  @Test func whatCannotBeIsRefused() throws {
    let text = try card(classes: ["a", "b"]).json()
    for (part, other, problem) in [
      (#""image_height":336"#, #""image_height":320"#, "must be squares"),
      (#""patch_size":16"#, #""patch_size":15"#, "the image size is 336"),
      (#","width":1024"#, "", "architecture.width is missing"),
      (#""outputs":2"#, #""outputs":3"#, "tells 3 classes apart, not 2"),
    ] {
      #expect(text.contains(part))
      let error = #expect(throws: ModelCardError.self) {
        try ModelCard(json: text.replacingOccurrences(of: part, with: other))
      }
      #expect("\(try #require(error))".contains(problem))
    }
  }

  /// Of a tokenizer, whose architecture its family alone knows.
  @Test(.timeLimit(.minutes(1))) func valuesTooDeepAreRefused() throws {
    let deep = String(repeating: "[", count: 480) + String(repeating: "]", count: 480)
    let error = #expect(throws: ModelCardError.self) {
      try Card(
        json:
          #"{"kind":"tokenizer","family":"vqvae","preprocessing":{"interpolation":"box"},"architecture":\#(deep)}"#
      )
    }
    #expect(error?.description.contains("architecture") == true, "\(String(describing: error))")
  }

  @Test(arguments: [("mlp_ratio", "1e30"), ("patch_size", "4611686018427387904")])
  func numbersWithoutMeasureAreRefused(_ key: String, _ value: String) throws {
    let text = try card(classes: ["wren"]).json()
    let changed = text.replacing(try Regex("\"\(key)\":[0-9.]+"), with: "\"\(key)\":\(value)")
    #expect(changed != text)
    #expect(throws: ModelCardError.self) { try ModelCard(json: changed) }
  }
}

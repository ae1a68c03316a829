import Configuration
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
        task: CheckpointHeader.imported, step: 0, epoch: 0, samplePosition: 0, updates: 0, seed: 0,
        configuration: "", card: .transformer(card))
      try Checkpoint.write(header, parameters: [], to: folder + "/a.h5")
      #expect(try Checkpoint.header(of: folder + "/a.h5") == header)
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
}

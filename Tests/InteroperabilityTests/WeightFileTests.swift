import Foundation
import Interoperability
import Layers
import Models
import Tensors
import Terminal
import TestSupport
import Testing

@Suite struct WeightFileTests {
  private static let path = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
    .appendingPathComponent("Fixtures/timm_vit.safetensors").path

  @Test func aTransformerOfTimmGivesItsFeatures() throws {
    let fixture = try FixtureFile("timm_vit.h5")
    let weights = try WeightFile(opening: Self.path, anchor: "patch_embed.proj.weight")
    let architecture = try #require(VisionTransformerConfiguration(parameterShapes: weights.shapes, heads: 3))
    #expect(
      architecture.imageSize == 16 && architecture.patchSize == 4 && architecture.width == 24
        && architecture.depth == 3)
    #expect(
      architecture.positions == .absolute && architecture.layerScale == nil && architecture.qkvBias == .full)
    let scope = ParameterScope(seed: 1, frozen: true)
    let network = try PerceptualViT(VisionTransformer(architecture, in: scope), blocks: [1, 2, 3])
    try weights.fill(scope.parameters)
    let features = network.features(try fixture.tensor("images"))
    for (number, found) in features.enumerated() {
      #expect(relativeError(found, try fixture["features"].tensor("\(number + 1)")) < 1e-5)
    }
  }

  @Test func anotherNetworksFileIsRefused() throws {
    let error = #expect(throws: RunError.self) {
      try WeightFile(opening: Self.path, anchor: "features.0.weight")
    }
    #expect("\(try #require(error))".contains("features.0.weight"))
  }

  @Test func otherShapesAreRefused() throws {
    let weights = try WeightFile(opening: Self.path, anchor: "patch_embed.proj.weight")
    let scope = ParameterScope(seed: 1)
    _ = (scope / "blocks.0.norm1").parameter("weight", [25], .zeros, role: .weight)
    let error = #expect(throws: RunError.self) { try weights.fill(scope.parameters) }
    #expect("\(try #require(error))".contains("[24]"))
    #expect(throws: RunError.self) {
      try weights.fill([ParameterScope(seed: 1).parameter("no", [1], .ones, role: .weight)])
    }
  }
}

@Suite struct VisionTransformerFormTests {
  @Test(arguments: [
    VisionTransformerConfiguration.Positions.sharedRelative, .relative, [.absolute, .relative], [],
  ])
  func namesAndShapesTellTheForm(positions: VisionTransformerConfiguration.Positions) throws {
    let scale: Float? = positions == .relative ? nil : 0.1
    var architecture = VisionTransformerConfiguration()
    (
      architecture.imageSize, architecture.patchSize, architecture.width, architecture.depth,
      architecture.heads
    ) = (24, 8, 16, 2, 2)
    (architecture.positions, architecture.layerScale, architecture.mlpRatio) = (positions, scale, 3)
    let scope = ParameterScope(seed: 1)
    _ = try VisionTransformer(architecture, in: scope)
    let shapes = Dictionary(uniqueKeysWithValues: scope.parameters.map { ($0.name, $0.shape) })
    let found = try #require(VisionTransformerConfiguration(parameterShapes: shapes, heads: 2))
    if positions.isEmpty { architecture.imageSize = 224 }
    #expect(found == architecture)
  }
}

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
    let form = try #require(VisionTransformerConfiguration(parameterShapes: weights.shapes, heads: 3))
    #expect(form.imageSize == 16 && form.patchSize == 4 && form.width == 24 && form.depth == 3)
    #expect(form.positions == .absolute && form.layerScale == nil && form.qkvBias == .full)
    let scope = ParameterScope(seed: 1, frozen: true)
    let network = try PerceptualViT(VisionTransformer(form, in: scope), blocks: [1, 2, 3])
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
    var form = VisionTransformerConfiguration()
    (form.imageSize, form.patchSize, form.width, form.depth, form.heads) = (24, 8, 16, 2, 2)
    (form.positions, form.layerScale, form.mlpRatio) = (positions, scale, 3)
    let scope = ParameterScope(seed: 1)
    _ = try VisionTransformer(form, in: scope)
    let shapes = Dictionary(uniqueKeysWithValues: scope.parameters.map { ($0.name, $0.shape) })
    let found = try #require(VisionTransformerConfiguration(parameterShapes: shapes, heads: 2))
    if positions.isEmpty { form.imageSize = 224 }
    #expect(found == form)
  }
}

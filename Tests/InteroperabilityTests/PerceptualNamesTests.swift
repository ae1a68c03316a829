import Foundation
import Interoperability
import Layers
import Models
import Storage
import Tensors
import Terminal
import TestSupport
import Testing

@Suite struct PerceptualNamesTests {
  private func path(_ name: String) -> String {
    URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("Fixtures/\(name)")
      .path
  }

  @Test func aTransformerOfHuggingFacesGivesItsFeatures() throws {
    let fixture = try FixtureFile("huggingface_perceptual.h5")["vit"]
    let (weights, names) = try WeightFile.open(path("huggingface_vit.safetensors"), of: .vit)
    #expect(names.normEpsilon == 1e-12)
    try compare(try transformer(weights, names), with: fixture)
  }

  @Test func aTransformerOfTorchvisionsGivesItsFeatures() throws {
    let fixture = try FixtureFile("torchvision_perceptual.h5")["vit"]
    let (weights, names) = try WeightFile.open(path("torchvision_vit.safetensors"), of: .vit)
    #expect(names.normEpsilon == 1e-6)
    try compare(try transformer(weights, names), with: fixture)
  }

  /// Those of torchvision's published files, which its model renames when it loads them.
  @Test func torchvisionsOlderNamesAreFound() throws {
    try withTemporaryFolder { folder in
      let file = try SafetensorsFile(opening: path("torchvision_vit.safetensors"))
      let tensors = try file.names.map { name in
        (
          name: name.replacingOccurrences(of: ".mlp.0.", with: ".mlp.linear_1.")
            .replacingOccurrences(of: ".mlp.3.", with: ".mlp.linear_2."),
          shape: try file.shape(of: name), values: try file.readFloats(name)
        )
      }
      #expect(tensors.filter { $0.name.contains("linear_") }.count == 12)
      try SafetensorsFile.write(tensors: tensors, to: "\(folder)/vit.safetensors")
      let older = try WeightFile.open("\(folder)/vit.safetensors", of: .vit).weights
      let newer = try WeightFile.open(path("torchvision_vit.safetensors"), of: .vit).weights
      #expect(older.shapes == newer.shapes)
      for name in newer.shapes.keys {
        #expect(try older.values(of: name) == newer.values(of: name), "\(name)")
      }
    }
  }

  /// The transformer that a fixture's weights are of, read after each of its blocks.
  private func transformer(_ weights: WeightFile, _ names: NameTable) throws -> PerceptualViT {
    var architecture = try #require(VisionTransformerConfiguration(parameterShapes: weights.shapes, heads: 3))
    #expect(architecture.imageSize == 16 && architecture.depth == 3 && architecture.qkvBias == .full)
    architecture.normEpsilon = names.normEpsilon
    let scope = ParameterScope(seed: 1, frozen: true)
    let network = try PerceptualViT(VisionTransformer(architecture, in: scope), blocks: [1, 2, 3])
    try weights.fill(scope.parameters)
    return network
  }

  /// Features, and the perceptual loss between the two images and the same in the other order, with its gradient.
  private func compare(_ network: some PerceptualNetwork, with fixture: FixtureFile) throws {
    let images = try fixture.tensor("images")
    for (index, found) in network.features(images).enumerated() {
      #expect(relativeError(found, try fixture["features"].tensor("\(index + 1)")) < 1e-5)
    }
    let elements = images.elements
    let half = elements.count / 2
    let flipped = Tensor(Array(elements[half...] + elements[..<half]), shape: images.shape)
    let tape = Tape()
    let leaf = tape.leaf(images)
    let loss = perceptualLoss(network, leaf, flipped)
    #expect(relativeError([loss.item], try fixture.tensor("loss").elements) < 1e-5)
    tape.backward(from: loss)
    #expect(relativeError(leaf.gradient, try fixture.tensor("gradient")) < 3e-5)
  }

  /// timm calls layer scale otherwise than BEiT.
  @Test func aTransformerOfTimmsWithLayerScaleGivesItsFeatures() throws {
    let fixture = try FixtureFile("transfer.h5")
    let (weights, names) = try WeightFile.open(path("transfer/timm_vit.safetensors"), of: .vit)
    var architecture = try #require(VisionTransformerConfiguration(parameterShapes: weights.shapes, heads: 3))
    architecture.normEpsilon = names.normEpsilon
    let scope = ParameterScope(seed: 1, frozen: true)
    let transformer = try VisionTransformer(architecture, in: scope)
    try weights.fill(scope.parameters)
    let states = transformer.features(try fixture.tensor("images"), blocks: [1, 2])
    let expected = try fixture["timm_vit"].tensor("features")
    #expect(relativeError(states.flatMap(\.elements), expected.elements) < 1e-5)
  }

  @Test func aResNetOfHuggingFacesGivesItsFeatures() throws {
    let fixture = try FixtureFile("huggingface_perceptual.h5")["resnet"]
    let (weights, _) = try WeightFile.open(path("huggingface_resnet.safetensors"), of: .resnet50)
    let scope = ParameterScope(seed: 1, frozen: true)
    let parameters = ResNet50Weights(widthDivisor: 32, in: scope)
    try weights.fill(scope.parameters)
    try compare(ResNet50(parameters), with: fixture)
  }

  @Test func torchvisionsNamesBelowAPrefixAreFound() throws {
    try withTemporaryFolder { folder in
      let scope = ParameterScope(seed: 3, frozen: true)
      _ = ResNet50Weights(widthDivisor: 32, in: scope)
      let tensors = scope.parameters.map {
        (name: "module.base_encoder.\($0.name)", shape: $0.shape, values: $0.value.elements)
      }
      try SafetensorsFile.write(tensors: tensors, to: "\(folder)/resnet.safetensors")
      let other = ParameterScope(seed: 4, frozen: true)
      _ = ResNet50Weights(widthDivisor: 32, in: other)
      try WeightFile.open("\(folder)/resnet.safetensors", of: .resnet50).weights.fill(other.parameters)
      #expect(other.parameters.map(\.value.elements) == scope.parameters.map(\.value.elements))
    }
  }

  @Test func anotherNetworksFileIsRefused() throws {
    for (network, expected) in [
      (PerceptualNames.resnet50, "layer1.0.conv1.weight"),
      (.vgg16, "features.0.weight"),
    ] {
      let error = #expect(throws: RunError.self) {
        try WeightFile.open(path("huggingface_vit.safetensors"), of: network)
      }
      #expect("\(try #require(error))".contains(expected))
    }
  }

  /// BEiT's keys have no bias at Hugging Face: read as a plain ViT it would lose those of queries and values.
  @Test func aTensorOfWhichAPartIsMissingIsRefused() throws {
    let beit = path("transfer/huggingface_class_token/model.safetensors")
    let error = #expect(throws: RunError.self) { try WeightFile.open(beit, of: .vit) }
    let message = "\(try #require(error))"
    #expect(message.contains("attn.qkv.bias") && message.contains("peco import"))
  }
}

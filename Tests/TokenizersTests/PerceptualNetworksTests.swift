import Communication
import Configuration
import Foundation
import Interoperability
import Layers
import Models
import Preparation
import Storage
import Tensors
import Terminal
import TestSupport
import Testing
import Tokenizers
import Trainer

/// Files of transformers as the tokenizer's perceptual network.
@Suite struct PerceptualNetworksTests {
  private typealias Weights = [(name: String, shape: [Int], values: [Float])]

  /// A dataset, and a tokenizer's configuration of one step.
  private func prepare(_ folder: String) throws {
    _ = try DatasetSynthesis(count: 8, size: 32, seed: 1).write(dataset: folder + "/images.h5")
    try """
    data: {path: \(folder)/images.h5, image_size: 32, workers: 1}
    model: {base_width: 8, channel_multipliers: [1, 1, 2], blocks_per_level: 1, attention: false}
    codebook: {size: 8, dimension: 8}
    training: {steps: 1, global_batch_size: 4, micro_batch_size: 4}
    """.write(toFile: folder + "/c.yaml", atomically: true, encoding: .utf8)
  }

  /// The perceptual loss of the first step under the weights of a file.
  private func loss(_ folder: String, _ weights: String, _ settings: String) throws -> Double {
    let run = "\(folder)/\(UUID().uuidString)"
    _ = try TokenizerTraining.run(
      RunRequest(
        configuration: folder + "/c.yaml", directory: run, resume: .never,
        overrides: ["perceptual={network: vit, taps: [1], weights: \(folder)/\(weights), \(settings)}"]),
      communicator: Communicator())
    return try #require(try MetricsLine.read(run + "/metrics.jsonl").last?["perceptual_loss"])
  }

  /// A plain transformer's weights.
  private func weights(width: Int, heads: Int, layerScale: Float? = nil) throws -> Weights {
    var architecture = VisionTransformerConfiguration()
    (
      architecture.imageSize, architecture.patchSize, architecture.width, architecture.depth,
      architecture.heads
    ) = (32, 8, width, 1, heads)
    (architecture.positions, architecture.qkvBias, architecture.layerScale, architecture.initialDeviation) = (
      .absolute, .full, layerScale, 0.2
    )
    let scope = ParameterScope(seed: 2)
    _ = try VisionTransformer(architecture, in: scope)
    return scope.parameters.map { ($0.name, $0.shape, $0.value.elements) }
  }

  @Test func theSmallTransformerOfMomentumContrastHasTwelveHeads() throws {
    try withTemporaryFolder { folder in
      try prepare(folder)
      let plain = try weights(width: 384, heads: 12)
      let below = plain.map { (name: "module.base_encoder.\($0.name)", shape: $0.shape, values: $0.values) }
      try SafetensorsFile.write(tensors: plain, to: folder + "/plain.safetensors")
      try SafetensorsFile.write(tensors: below, to: folder + "/moco.safetensors")
      // As in the published file, which has the momentum encoder too.
      let published = ["base_encoder", "momentum_encoder"].flatMap { encoder in
        plain.map { (name: "state_dict.module.\(encoder).\($0.name)", shape: $0.shape, values: $0.values) }
      }
      try SafetensorsFile.write(tensors: published, to: folder + "/published.safetensors")
      let losses = try [
        ("moco", "null"), ("moco", "12"), ("plain", "12"), ("plain", "null"), ("moco", "6"),
        ("published", "null"),
      ]
      .map { try loss(folder, "\($0).safetensors", $1 == "null" ? "size: small" : "heads: \($1)") }
      #expect(losses[0] == losses[1] && losses[1] == losses[2] && losses[5] == losses[0])
      #expect(losses[3] == losses[4] && losses[3] != losses[0])

      for name in ["moco", "published"] {
        let report = try WeightConversion.importWeights(
          .init(source: "\(folder)/\(name).safetensors", layout: .timm, output: "\(folder)/\(name).h5"))
        #expect(report.summary.contains("384 wide, 12 heads"))
      }
      let error = #expect(throws: RunError.self) {
        try WeightConversion.importWeights(
          .init(source: "\(folder)/plain.safetensors", layout: .timm, output: "\(folder)/plain.h5"))
      }
      #expect("\(try #require(error))".contains("width mostly have 6"))
    }
  }

  @Test func aTransformerIsShownImagesOfAnySizeThatItsPatchesDivide() throws {
    try withTemporaryFolder { folder in
      try prepare(folder)
      try SafetensorsFile.write(tensors: try weights(width: 24, heads: 3), to: folder + "/a.safetensors")
      let losses = try [8, 16, 32].map {
        try loss(folder, "a.safetensors", "heads: 3, image_size: \($0)")
      }
      #expect(Set(losses).count == 3 && losses.allSatisfy { $0 > 0 && $0.isFinite })
      // A table without a row for the class token, such as DeiT III has, belongs to no grid.
      let others = try weights(width: 24, heads: 3).map { weight in
        weight.name == "pos_embed"
          ? (name: weight.name, shape: [1, 16, 24], values: Array(weight.values.dropLast(24))) : weight
      }
      try SafetensorsFile.write(tensors: others, to: folder + "/b.safetensors")
      let error = #expect(throws: RunError.self) {
        try loss(folder, "b.safetensors", "heads: 3")
      }
      #expect("\(try #require(error))".contains("pos_embed"))
    }
  }

  /// Features without them would be wrong, and nobody would know.
  @Test func weightsThatTheNetworkHasNoPlaceForAreRefused() throws {
    try withTemporaryFolder { folder in
      let scope = ParameterScope(seed: 3, frozen: true)
      _ = ResNet50Weights(stages: 3, widthDivisor: 32, in: scope)
      let own = scope.parameters.map { (name: $0.name, shape: $0.shape, values: $0.value.elements) }
      for (name, isRefused) in [
        // A deeper network's, one with attention to channels, a deeper stage, a head, and a counter.
        ("layer3.6.conv1.weight", true), ("layer1.0.se.fc1.weight", true), ("layer4.0.conv1.weight", false),
        ("fc.weight", false), ("layer1.0.bn1.num_batches_tracked", false),
      ] {
        let path = folder + "/resnet.safetensors"
        try SafetensorsFile.write(tensors: own + [(name: name, shape: [1], values: [1])], to: path)
        let file = try WeightFile.open(path, of: .resnet50).weights
        func check() throws { try file.requireWhole(.resnet50, known: scope.parameters) }
        guard isRefused else {
          #expect(throws: Never.self) { try check() }
          continue
        }
        let error = #expect(throws: RunError.self) { try check() }
        #expect("\(try #require(error))".contains(name))
      }
    }
  }

  /// VGG-19's first three stages are VGG-16's, but for a convolution more in the third.
  @Test func aDeeperNetworkIsNotTakenForVGG16() throws {
    try withTemporaryFolder { folder in
      let scope = ParameterScope(seed: 3, frozen: true)
      _ = VGG16(taps: [.stage3], widthDivisor: 16, in: scope)
      let own = scope.parameters.map { (name: $0.name, shape: $0.shape, values: $0.value.elements) }
      for (number, isRefused) in [(16, true), (17, false)] {
        let path = folder + "/vgg.safetensors"
        let more = (name: "features.\(number).weight", shape: [1], values: [Float(1)])
        try SafetensorsFile.write(tensors: own + [more], to: path)
        let file = try WeightFile.open(path, of: .vgg16).weights
        let refusal = Result { try file.requireWhole(.vgg16, known: scope.parameters) }
        #expect((try? refusal.get()) == nil ? isRefused : !isRefused)
      }
    }
  }

  @Test func theLastNormIsNotNeeded() throws {
    try withTemporaryFolder { folder in
      try prepare(folder)
      let tokens = try weights(width: 24, heads: 3)
      let pooled = tokens.map {
        (name: $0.name.hasPrefix("norm.") ? "fc_\($0.name)" : $0.name, shape: $0.shape, values: $0.values)
      }
      #expect(pooled.contains { $0.name == "fc_norm.weight" })
      try SafetensorsFile.write(tensors: tokens, to: folder + "/tokens.safetensors")
      try SafetensorsFile.write(tensors: pooled, to: folder + "/pooled.safetensors")
      let losses = try ["tokens", "pooled"].map { try loss(folder, "\($0).safetensors", "heads: 3") }
      #expect(losses[0] > 0 && losses[0] == losses[1])
    }
  }

  @Test func layerScaleIsReadUnderTimmsNamesAndWhatIsUnknownRefused() throws {
    try withTemporaryFolder { folder in
      try prepare(folder)
      let ours = try weights(width: 24, heads: 3, layerScale: 0.3)
      var theirs = ours.map { tensor in
        var tensor = tensor
        for branch in 1...2 where tensor.name == "blocks.0.gamma_\(branch)" {
          tensor.name = "blocks.0.ls\(branch).gamma"
        }
        return tensor
      }
      let without = ours.filter { !$0.name.contains("gamma") }
      for (name, tensors) in [("ours", ours), ("theirs", theirs), ("without", without)] {
        try SafetensorsFile.write(tensors: tensors, to: "\(folder)/\(name).safetensors")
      }
      let losses = try ["ours", "theirs", "without"].map {
        try loss(folder, "\($0).safetensors", "heads: 3")
      }
      #expect(losses[0] == losses[1] && losses[0] != losses[2])

      theirs.append(
        (name: "blocks.0.attn.q_norm.weight", shape: [8], values: [Float](repeating: 1, count: 8)))
      try SafetensorsFile.write(tensors: theirs, to: folder + "/more.safetensors")
      let error = #expect(throws: RunError.self) { try loss(folder, "more.safetensors", "heads: 3") }
      #expect("\(try #require(error))".contains("blocks.0.attn.q_norm.weight [8]"))
    }
  }

  @Test func imagesAreNormalizedAsWhatLiesBesideTheWeightsSays() throws {
    try withTemporaryFolder { folder in
      try prepare(folder)
      try SafetensorsFile.write(
        tensors: try weights(width: 24, heads: 3), to: folder + "/vit.safetensors")
      func imported(_ normalization: ImageNormalization?) throws -> Double {
        _ = try WeightConversion.importWeights(
          .init(
            source: folder + "/vit.safetensors", layout: .timm, output: folder + "/vit.h5",
            told: .init(heads: 3, normalization: normalization)))
        return try loss(folder, "vit.h5", "heads: null")
      }
      let plain = try loss(folder, "vit.safetensors", "heads: 3")
      #expect(try imported(nil) == plain)
      let half = try imported(
        ImageNormalization(mean: [0.5, 0.5, 0.5], standardDeviation: [0.5, 0.5, 0.5]))
      #expect(half != plain)
      try #"{"image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5]}"#.write(
        toFile: folder + "/preprocessor_config.json", atomically: true, encoding: .utf8)
      #expect(try loss(folder, "vit.safetensors", "heads: 3") == half)
    }
  }
}

import Layers
import Models
import Tensors
import Testing
import Trainer

/// Which parameters share a learning rate and weight decay: by role and depth, not by name.
@Suite struct ParameterGroupsTests {
  private static func configuration(
    _ positions: VisionTransformerConfiguration.Positions
  ) -> VisionTransformerConfiguration {
    var configuration = VisionTransformerConfiguration()
    configuration.imageSize = 16
    configuration.patchSize = 8
    configuration.width = 8
    configuration.heads = 2
    configuration.depth = 3
    configuration.positions = positions
    return configuration
  }

  /// What BEiT's `get_num_layer_for_vit` gives for a transformer of three blocks (num_max_layer 5), and whether
  /// weights decay.
  private static let blocks: [(name: String, layer: Int, isDecayed: Bool)] = (0..<3).flatMap { block in
    [
      ("norm1.weight", false), ("norm1.bias", false), ("attn.qkv.weight", true), ("attn.q_bias", false),
      ("attn.v_bias", false), ("attn.proj.weight", true), ("attn.proj.bias", false), ("gamma_1", false),
      ("norm2.weight", false), ("norm2.bias", false), ("mlp.fc1.weight", true), ("mlp.fc1.bias", false),
      ("mlp.fc2.weight", true), ("mlp.fc2.bias", false), ("gamma_2", false),
    ].map { ("blocks.\(block).\($0.0)", block + 1, $0.1) }
  }

  private func check(
    _ parameters: [Parameter], _ expected: [(name: String, layer: Int, isDecayed: Bool)]
  ) throws {
    #expect(parameters.map(\.name).sorted() == expected.map(\.name).sorted())
    let decay = LayerDecay(decay: 0.5, depth: 3)
    // 0.5 to the power of num_max_layer − 1 − layer.
    let scales = [0.0625, 0.125, 0.25, 0.5, 1]
    for parameter in parameters {
      let entry = try #require(expected.first { $0.name == parameter.name })
      #expect(parameter.depth == entry.layer, "\(parameter.name)")
      #expect(decay.scale(of: parameter) == scales[entry.layer], "\(parameter.name)")
      #expect(parameter.isDecayed == entry.isDecayed, "\(parameter.name)")
    }
  }

  @Test func classificationIsAsBEiTs() throws {
    let scope = ParameterScope(seed: 0)
    _ = try ClassificationModel(Self.configuration([.relative, .absolute]), classes: 4, in: scope)
    try check(
      scope.parameters,
      [
        ("cls_token", 0, false), ("pos_embed", 0, false), ("patch_embed.proj.weight", 0, true),
        ("patch_embed.proj.bias", 0, false), ("fc_norm.weight", 4, false), ("fc_norm.bias", 4, false),
        ("head.weight", 4, true), ("head.bias", 4, false),
      ] + Self.blocks
        + (0..<3).map { ("blocks.\($0).attn.relative_position_bias_table", $0 + 1, false) })
  }

  @Test func maskedImageModelingIsAsBEiTs() throws {
    let scope = ParameterScope(seed: 0)
    _ = try MaskedImageModel(Self.configuration(.sharedRelative), vocabulary: 4, in: scope)
    try check(
      scope.parameters,
      [
        ("cls_token", 0, false), ("mask_token", 0, false), ("patch_embed.proj.weight", 0, true),
        ("patch_embed.proj.bias", 0, false), ("rel_pos_bias.relative_position_bias_table", 4, false),
        ("norm.weight", 4, false), ("norm.bias", 4, false), ("lm_head.weight", 4, true),
        ("lm_head.bias", 4, false),
      ] + Self.blocks)
  }

  /// A transformer inside another model has its depths under whatever name it goes; what is beside it has the full
  /// rate.
  @Test func depthsDoNotDependOnTheRoot() throws {
    let scope = ParameterScope(seed: 0)
    _ = try VisionTransformer(Self.configuration(.absolute), in: scope / "detector" / "backbone")
    let neck = scope.parameter("neck", [2, 2], .ones, role: .weight)
    let depths = Dictionary(uniqueKeysWithValues: scope.parameters.map { ($0.name, $0.depth) })
    #expect(depths["detector.backbone.pos_embed"] == 0)
    #expect(depths["detector.backbone.blocks.2.gamma_1"] == 3)
    #expect(depths["detector.backbone.norm.bias"] == 4)
    #expect(neck.depth == nil && LayerDecay(decay: 0.5, depth: 3).scale(of: neck) == 1)
  }

  @Test func momentumContrastDecaysItsMatrices() throws {
    let scope = ParameterScope(seed: 0)
    var configuration = Self.configuration(.sinCos)
    configuration.qkvBias = .full
    configuration.layerScale = nil
    configuration.hasFixedPatchProjection = true
    _ = try MomentumContrast(
      configuration, hiddenWidth: 6, outputWidth: 4, in: scope,
      momentumEncoderIn: ParameterScope(seed: 0).untrained)
    let decayed = scope.parameters.filter { $0.kind == .trained && $0.isDecayed }.map(\.name)
    #expect(
      Set(decayed)
        == Set(
          (0..<3).flatMap { block in
            ["attn.qkv", "attn.proj", "mlp.fc1", "mlp.fc2"].map { "blocks.\(block).\($0).weight" }
          } + [0, 3, 6].map { "projector.\($0).weight" } + [0, 3].map { "predictor.\($0).weight" }))
    #expect(
      scope.parameters.filter { $0.depth == nil }.allSatisfy { MomentumContrast.isBesideEncoder($0.name) })
  }

  /// Of what has no transformer in it, kernels and matrices decay, vectors and codebooks do not.
  @Test func tokenizersDecayTheirKernels() throws {
    var learned = VQVAEConfiguration()
    learned.imageSize = 16
    learned.baseWidth = 8
    learned.channelMultipliers = [1, 2]
    learned.codebookSize = 32
    learned.codebookDimension = 8
    learned.normalizationGroups = 4
    learned.codebookLearning = .gradient
    var discrete = DVAEConfiguration()
    discrete.imageSize = 16
    discrete.baseWidth = 4
    discrete.vocabulary = 24
    discrete.codebookDimension = 6
    let models = [
      try VQVAE(learned, in: ParameterScope(seed: 0)).parameters,
      try DVAE(discrete, in: ParameterScope(seed: 0)).parameters,
      PatchDiscriminator(PatchDiscriminatorConfiguration(), in: ParameterScope(seed: 0)).parameters,
    ]
    for parameters in models {
      let trained = parameters.filter { $0.kind == .trained }
      #expect(trained.contains { $0.isDecayed })
      for parameter in trained {
        let isMatrix = parameter.shape.count > 1 && parameter.name != "quantize.embedding"
        #expect(parameter.isDecayed == isMatrix, "\(parameter.name)")
        #expect(LayerDecay(decay: 0.5, depth: 3).scale(of: parameter) == 1, "\(parameter.name)")
      }
    }
  }
}

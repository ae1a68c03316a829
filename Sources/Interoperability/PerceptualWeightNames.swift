import Models
import Tensors
import Terminal

/// How perceptual networks' weights are called in the files of others.
public struct PerceptualNaming: Sendable {
  /// A name that every file of this naming has, after any prefix.
  let anchor: String
  /// From our names to theirs, where they differ.
  var rules: [NameRule] = []
  /// What layer normalization adds to the variance.
  public private(set) var normEpsilon: Float = 1e-6
  /// The layout of which a `config.json` may lie beside the file.
  package var layout: WeightLayout?

  /// The namings in which a network's weights may come; the first is ours.
  static func all(of network: PerceptualNetworkKind) -> [PerceptualNaming] {
    switch network {
    case .none: []
    // torchvision's, which is timm's.
    case .vgg16: [PerceptualNaming(anchor: "features.0.weight")]
    // torchvision's, which is timm's and MoCo v3's; Hugging Face's `ResNetModel`.
    case .resnet50:
      [
        PerceptualNaming(anchor: "layer1.0.conv1.weight"),
        PerceptualNaming(anchor: "embedder.embedder.convolution.weight", rules: huggingFaceResNet),
      ]
    // BEiT's, which is timm's but for layer scale, and MoCo v3's; Hugging Face's `ViTModel`; torchvision's.
    case .vit:
      [
        PerceptualNaming(anchor: "patch_embed.proj.weight", rules: timmLayerScale),
        PerceptualNaming(
          anchor: "embeddings.patch_embeddings.projection.weight", rules: huggingFaceViT, normEpsilon: 1e-12,
          layout: .huggingface),
        PerceptualNaming(anchor: "conv_proj.weight", rules: torchvisionViT),
      ]
    }
  }

  // MARK: - The tables

  private static let huggingFaceResNet: [NameRule] = {
    var rules = convolution("conv1", "bn1", "embedder.embedder")
    for stage in 0..<4 {
      let (ours, theirs) = ("layer\(stage + 1).*", "encoder.stages.\(stage).layers.*")
      for number in 0..<3 {
        rules += convolution(
          "\(ours).conv\(number + 1)", "\(ours).bn\(number + 1)", "\(theirs).layer.\(number)")
      }
      rules += convolution("\(ours).downsample.0", "\(ours).downsample.1", "\(theirs).shortcut")
    }
    return rules
  }()

  /// A convolution and its normalization.
  private static func convolution(_ weight: String, _ norm: String, _ theirs: String) -> [NameRule] {
    [NameRule("\(weight).weight", "\(theirs).convolution.weight")]
      + ["weight", "bias", "running_mean", "running_var"].map {
        NameRule("\(norm).\($0)", "\(theirs).normalization.\($0)")
      }
  }

  private static let timmLayerScale = [1, 2].map {
    NameRule("blocks.*.gamma_\($0)", "blocks.*.ls\($0).gamma")
  }

  private static let torchvisionViT: [NameRule] = {
    let block = "encoder.layers.encoder_layer_*"
    let layers = [
      ("patch_embed.proj", "conv_proj"), ("blocks.*.norm1", "\(block).ln_1"),
      ("blocks.*.attn.proj", "\(block).self_attention.out_proj"), ("blocks.*.norm2", "\(block).ln_2"),
      // Of the file, and what its loading turns them into.
      ("blocks.*.mlp.fc1", "\(block).mlp.linear_1"), ("blocks.*.mlp.fc2", "\(block).mlp.linear_2"),
      ("blocks.*.mlp.fc1", "\(block).mlp.0"), ("blocks.*.mlp.fc2", "\(block).mlp.3"),
      ("norm", "encoder.ln"),
    ]
    return [NameRule("cls_token", "class_token"), NameRule("pos_embed", "encoder.pos_embedding")]
      + ["weight", "bias"].flatMap { kind in
        [NameRule("blocks.*.attn.qkv.\(kind)", "\(block).self_attention.in_proj_\(kind)")]
          + layers.map { NameRule("\($0).\(kind)", "\($1).\(kind)") }
      }
  }()

  private static let huggingFaceViT: [NameRule] = {
    let block = "encoder.layer.*"
    let attention = "\(block).attention.attention"
    let layers = [
      ("patch_embed.proj", "embeddings.patch_embeddings.projection"),
      ("blocks.*.norm1", "\(block).layernorm_before"),
      ("blocks.*.attn.proj", "\(block).attention.output.dense"),
      ("blocks.*.norm2", "\(block).layernorm_after"), ("blocks.*.mlp.fc1", "\(block).intermediate.dense"),
      ("blocks.*.mlp.fc2", "\(block).output.dense"), ("norm", "layernorm"),
    ]
    return [
      NameRule("cls_token", "embeddings.cls_token"), NameRule("pos_embed", "embeddings.position_embeddings"),
    ]
      + ["weight", "bias"].flatMap { kind in
        [
          NameRule(
            "blocks.*.attn.qkv.\(kind)", "\(attention).query.\(kind)", "\(attention).key.\(kind)",
            "\(attention).value.\(kind)")
        ] + layers.map { NameRule("\($0).\(kind)", "\($1).\(kind)") }
      }
  }()
}

extension WeightFile {
  /// Opens a file in whichever naming of a perceptual network it is, and gives it our names.
  ///
  /// - Returns: The weights, and the naming that they came in.
  public static func open(
    _ path: String, of network: PerceptualNetworkKind
  ) throws -> (weights: WeightFile, naming: PerceptualNaming) {
    var failure: (any Error)?
    for naming in PerceptualNaming.all(of: network) {
      let file: WeightFile
      do {
        file = try WeightFile(opening: path, anchor: naming.anchor)
      } catch {
        // Of several names that were looked for, ours is the one to tell of.
        failure = failure ?? error
        continue
      }
      return (try file.renamed(by: naming.rules), naming)
    }
    throw failure ?? RunError("\(path): the network \(network.rawValue) has no weights")
  }

  /// The same weights under our names; what no rule knows keeps its own.
  ///
  /// - Throws: `RunError` where some parts of one of our tensors are missing, or do not fit together.
  func renamed(by rules: [NameRule]) throws -> WeightFile {
    guard !rules.isEmpty else { return self }
    var parts: [String: [Int: String]] = [:]
    var counts: [String: Int] = [:]
    for stored in self.shapes.keys {
      var isKnown = false
      for rule in rules {
        for (part, pattern) in rule.theirs.enumerated() {
          guard let pattern, let block = WeightLayout.block(of: stored, in: pattern) else { continue }
          let ours = WeightLayout.name(rule.ours, block: block)
          parts[ours, default: [:]][part] = stored
          counts[ours] = rule.theirs.count
          isKnown = true
        }
      }
      if !isKnown { (parts[stored], counts[stored]) = ([0: stored], 1) }
    }
    var sources: [String: [String]] = [:]
    var shapes: [String: [Int]] = [:]
    for (ours, found) in parts {
      let names = (0..<(counts[ours] ?? 1)).compactMap { found[$0] }
      let all = names.compactMap { self.shapes[$0] }
      guard names.count == counts[ours], let first = all.first, all.allSatisfy({ $0 == first }) else {
        throw RunError(
          "\(path) has only \(names.joined(separator: ", ")) of the \(counts[ours] ?? 1) equal parts of \(ours); is "
            + "it another network's? `peco import` knows BEiT's")
      }
      sources[ours] = names
      shapes[ours] = names.count == 1 ? first : [first[0] * names.count] + first.dropFirst()
    }
    return WeightFile(path: path, shapes: shapes, prefix: prefix) { name in
      try (sources[name] ?? []).flatMap { try self.values(of: $0) }
    }
  }

  /// Throws where a network's body has weights that are not among `parameters`: it is another one then, and without them
  /// its features would be wrong. What comes after the body, heads and deeper stages, may be there.
  public func requireWhole(
    _ network: PerceptualNetworkKind, known parameters: [Parameter]
  ) throws {
    let known = Set(parameters.map(\.name))
    let body: [String] =
      switch network {
      case .none: []
      // A deeper one has its stages elsewhere; its first convolution that is not here betrays it.
      case .vgg16: [1, 16, 23, 25, 30, 32, 34].map { "features.\($0)" }
      case .resnet50:
        ["conv1", "bn1"] + (1...4).map { "layer\($0)" }.filter { known.contains("\($0).0.conv1.weight") }
      case .vit:
        [
          "blocks", "encoder", "patch_embed", "embeddings", "pos_embed", "cls_token", "norm_pre", "reg_token",
          "register_tokens", "dist_token", "rel_pos_bias",
        ]
      }
    let unread = shapes.keys.filter { name in
      body.contains { name == $0 || name.hasPrefix($0 + ".") } && !known.contains(name)
        && !WeightLayout.isBuffer(name) && !name.hasSuffix("mask_token")
    }.sorted()
    guard let first = unread.first else { return }
    throw RunError(
      "\(path) has \(unread.count) weights that this \(network.rawValue) does not, the first \(first) "
        + "\(shapes[first] ?? []); is it another kind of network?")
  }
}

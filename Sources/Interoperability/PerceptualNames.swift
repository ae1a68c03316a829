import Models
import Tensors
import Terminal

/// What files of a family of perceptual networks are known by.
public struct PerceptualNames: Sendable {
  /// What the network is called.
  public let network: String
  /// The names in which its weights may come; the first are ours.
  let tables: [NameTable]
  /// Where the weights of its body lie, which all must be known; nil where all lie there but heads and decoders.
  private let body: [String]?
  /// Where those of its stages lie, which count where the network has the stage.
  private let stages: [String]

  private init(_ network: String, _ tables: [NameTable], body: [String]? = nil, stages: [String] = []) {
    self.network = network
    self.tables = tables
    self.body = body
    self.stages = stages
  }

  /// Whether a weight is one of the body, in a network that has those of the names `known`.
  func isOfBody(_ name: String, known: Set<String>) -> Bool {
    guard let body else { return !NameTable.isBesideBody(name) }
    let stages = stages.filter { stage in known.contains { $0.hasPrefix(stage + ".") } }
    return (body + stages).contains { name == $0 || name.hasPrefix($0 + ".") }
  }

  /// torchvision's, which is timm's.
  ///
  /// A deeper one has its stages elsewhere; its first convolution that is not here betrays it.
  public static let vgg16 = PerceptualNames(
    "vgg16", [NameTable("torchvision", anchor: "features.0.weight")],
    body: [1, 16, 23, 25, 30, 32, 34].map { "features.\($0)" })

  /// torchvision's, which is timm's and MoCo v3's; Hugging Face's `ResNetModel`.
  public static let resnet50 = PerceptualNames(
    "resnet50",
    [
      NameTable("torchvision", anchor: "layer1.0.conv1.weight"),
      NameTable(
        "huggingface", anchor: "embedder.embedder.convolution.weight", rules: NameTable.huggingFaceResNet),
    ], body: ["conv1", "bn1"], stages: (1...4).map { "layer\($0)" })

  /// BEiT's, which is timm's but for layer scale, and MoCo v3's; Hugging Face's `ViTModel`; torchvision's.
  public static let vit = PerceptualNames(
    "vit",
    [
      WeightLayout.timm.table(of: nil, isPartial: true),
      WeightLayout.huggingface.table(of: .plain, isPartial: true),
      NameTable("torchvision", anchor: "conv_proj.weight", rules: NameTable.torchvisionViT),
    ])
}

extension NameTable {
  fileprivate static let huggingFaceResNet: [NameRule] = {
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

  fileprivate static let torchvisionViT: [NameRule] = {
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
}

extension WeightFile {
  /// Opens a file of a perceptual network in whichever names it has, and gives it ours; what no rule knows keeps its
  /// own.
  ///
  /// - Returns: The weights, and the table of the names that they came in.
  /// - Throws: `RunError` where some parts of one of our tensors are missing, or do not fit together.
  public static func open(
    _ path: String, of network: PerceptualNames
  ) throws -> (weights: WeightFile, names: NameTable) {
    let stored = try StoredTensors.open(path)
    // Of several names that are looked for, ours is the one to tell of.
    let table = network.tables.first { $0.prefix(in: stored.shapes.map(\.name)) != nil } ?? network.tables[0]
    return (try WeightFile(stored, named: table), table)
  }

  /// Throws where a network's body has weights that are not among `parameters`: it is another one then, and without
  /// them its features would be wrong. What comes after the body, heads and deeper stages, may be there.
  public func requireWhole(
    _ network: PerceptualNames, known parameters: [Parameter]
  ) throws {
    let known = Set(parameters.map(\.name))
    let others = shapes.filter { !known.contains($0.key) && network.isOfBody($0.key, known: known) }
    let names = others.sorted { $0.key < $1.key }.map {
      UnmatchedName($0.key, inside: $0.key, $0.value, "not a name of this \(network.network)'s")
    }
    try requireWhole("this \(network.network)", without: names, advice: "is it another kind of network?")
  }
}

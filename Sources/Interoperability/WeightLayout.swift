import Foundation

/// Whose names weights have in a safetensors file.
public enum WeightLayout: String, Sendable, CaseIterable {
  /// BEiT's published code (unilm/beit).
  case beit
  /// timm's `Beit`, or its `VisionTransformer` where positions are absolute.
  case timm
  /// Hugging Face transformers' `BeitModel`, `BeitForMaskedImageModeling` and `BeitForImageClassification`, under the
  /// names that its files have.
  case huggingface
}

/// How a tensor of ours is called elsewhere, and what it is made of there.
///
/// `*` stands for a block's number.
struct NameRule: Sendable {
  /// In which of a layout's models the rule holds; both where it is nil.
  enum Model: Sendable {
    /// BEiT's: relative positions, `q_bias` and `v_bias`.
    case beit
    /// A plain vision transformer: absolute positions, one `qkv.bias`.
    case plain
  }

  /// Our name.
  let ours: String
  /// Their names: equal parts along the first axis, one after another. A part without a name is left out there.
  let theirs: [String?]
  let model: Model?

  init(_ ours: String, _ theirs: String?..., in model: Model? = nil) {
    self.ours = ours
    self.theirs = theirs
    self.model = model
  }

  /// Whether everything of ours has a place there, so that ours can be made of theirs.
  var isWhole: Bool { !theirs.isEmpty && theirs.allSatisfy { $0 != nil } }

  /// The rules of a layer's `weight` and `bias`.
  fileprivate static func layer(_ ours: String, _ theirs: String) -> [NameRule] {
    ["weight", "bias"].map { NameRule("\(ours).\($0)", "\(theirs).\($0)") }
  }
}

extension WeightLayout {
  /// What a name of theirs may begin with that does not matter when weights are read.
  package var prefix: String { self == .huggingface ? "beit." : "" }

  /// A name that every file of this layout has, after any prefix.
  var anchor: String {
    self == .huggingface ? "embeddings.patch_embeddings.projection.weight" : "patch_embed.proj.weight"
  }

  /// The rules. The first that fits a name is followed; what no rule fits has no place in the other naming.
  var rules: [NameRule] {
    switch self {
    case .beit: Self.beitRules
    case .timm: Self.timmRules
    case .huggingface: Self.huggingFaceRules
    }
  }

  /// Names that a file may hold beside weights: what can be computed.
  static func isBuffer(_ name: String) -> Bool {
    name.hasSuffix("relative_position_index") || name.hasSuffix("num_batches_tracked")
  }

  // MARK: - The tables

  /// Our names of the tables of relative positions: the one that all blocks share, and each block's own.
  static let sharedTable = "rel_pos_bias.relative_position_bias_table"
  static let table = "blocks.*.attn.relative_position_bias_table"

  /// What BEiT's published code and timm call as we do.
  private static let common: [NameRule] =
    ["cls_token", "pos_embed"].map { NameRule($0, $0) }
    + [
      "patch_embed.proj", "blocks.*.norm1", "blocks.*.attn.proj", "blocks.*.norm2", "blocks.*.mlp.fc1",
      "blocks.*.mlp.fc2", "norm", "fc_norm", "head",
    ].flatMap { NameRule.layer($0, $0) }
    + [
      sharedTable, table, "blocks.*.attn.qkv.weight", "blocks.*.attn.q_bias", "blocks.*.attn.v_bias",
    ].map { NameRule($0, $0) }

  /// The bias of the keys adds the same to all logits of a query, which the softmax takes away again: it may be left
  /// out.
  private static let withoutKeyBias = NameRule(
    "blocks.*.attn.qkv.bias", "blocks.*.attn.q_bias", nil, "blocks.*.attn.v_bias", in: .beit)

  private static let layerScale: [NameRule] = [1, 2].map {
    NameRule("blocks.*.gamma_\($0)", "blocks.*.gamma_\($0)", in: .beit)
  }

  private static let beitRules: [NameRule] =
    common + layerScale + [withoutKeyBias, NameRule("mask_token", "mask_token")]
    + NameRule.layer("lm_head", "lm_head")

  private static let timmRules: [NameRule] =
    common + layerScale + [withoutKeyBias]
    + [NameRule("blocks.*.attn.qkv.bias", "blocks.*.attn.qkv.bias", in: .plain)]
    + [1, 2].map { NameRule("blocks.*.gamma_\($0)", "blocks.*.ls\($0).gamma", in: .plain) }

  private static let huggingFaceRules: [NameRule] = {
    let block = "encoder.layer.*"
    let attention = "\(block).attention.attention"
    return [
      NameRule("cls_token", "embeddings.cls_token"), NameRule("mask_token", "embeddings.mask_token"),
      NameRule("pos_embed", "embeddings.position_embeddings"),
      NameRule(sharedTable, "encoder.relative_position_bias.relative_position_bias_table"),
      NameRule(table, "\(attention).relative_position_bias.relative_position_bias_table"),
      NameRule(
        "blocks.*.attn.qkv.weight", "\(attention).query.weight", "\(attention).key.weight",
        "\(attention).value.weight"),
      NameRule("blocks.*.attn.q_bias", "\(attention).query.bias"),
      NameRule("blocks.*.attn.v_bias", "\(attention).value.bias"),
      NameRule("blocks.*.attn.qkv.bias", "\(attention).query.bias", nil, "\(attention).value.bias"),
      NameRule("blocks.*.gamma_1", "\(block).lambda_1"), NameRule("blocks.*.gamma_2", "\(block).lambda_2"),
    ]
      + [
        ("patch_embed.proj", "embeddings.patch_embeddings.projection"),
        ("blocks.*.norm1", "\(block).layernorm_before"),
        ("blocks.*.attn.proj", "\(block).attention.output.dense"),
        ("blocks.*.norm2", "\(block).layernorm_after"), ("blocks.*.mlp.fc1", "\(block).intermediate.dense"),
        ("blocks.*.mlp.fc2", "\(block).output.dense"), ("norm", "layernorm"),
        ("fc_norm", "pooler.layernorm"), ("lm_head", "lm_head"), ("head", "classifier"),
      ].flatMap { NameRule.layer($0, $1) }
  }()

  // MARK: - Matching

  /// The number that `*` stands for where a name follows a pattern; 0 where the pattern has none, nil where it does
  /// not follow.
  static func block(of name: String, in pattern: String) -> Int? {
    guard let star = pattern.firstIndex(of: "*") else { return name == pattern ? 0 : nil }
    let (head, tail) = (pattern[..<star], pattern[pattern.index(after: star)...])
    guard name.count > head.count + tail.count, name.hasPrefix(head), name.hasSuffix(tail) else { return nil }
    let number = name.dropFirst(head.count).dropLast(tail.count)
    return number.allSatisfy { $0.isASCII && $0.isNumber } ? Int(number) : nil
  }

  /// The name that a pattern gives for a block.
  static func name(_ pattern: String, block: Int) -> String {
    pattern.replacingOccurrences(of: "*", with: String(block))
  }
}

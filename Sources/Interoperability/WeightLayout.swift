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

extension WeightLayout {
  /// The table by which files are imported. timm's names tell its two models apart; Hugging Face's do not.
  var importTable: NameTable { table(of: self == .huggingface ? .beit : nil) }

  /// The table of the names in one of a layout's models; in all of them where it is nil.
  func table(of model: NameRule.Model?, isPartial: Bool = false) -> NameTable {
    let rules: [NameRule] =
      switch self {
      case .beit: Self.beitRules
      case .timm: Self.timmRules
      case .huggingface: Self.huggingFaceRules
      }
    let isHuggingFaces = self == .huggingface
    return NameTable(
      rawValue,
      anchor: isHuggingFaces ? "embeddings.patch_embeddings.projection.weight" : "patch_embed.proj.weight",
      rules: rules.filter { model == nil || $0.model == nil || $0.model == model }, isPartial: isPartial,
      prefix: isHuggingFaces ? "beit." : "", normEpsilon: isHuggingFaces ? 1e-12 : 1e-6)
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
    let (query, key, value) = ("\(attention).query", "\(attention).key", "\(attention).value")
    return [
      NameRule("cls_token", "embeddings.cls_token"), NameRule("mask_token", "embeddings.mask_token"),
      NameRule("pos_embed", "embeddings.position_embeddings"),
      NameRule(sharedTable, "encoder.relative_position_bias.relative_position_bias_table"),
      NameRule(table, "\(attention).relative_position_bias.relative_position_bias_table"),
      NameRule("blocks.*.attn.qkv.weight", "\(query).weight", "\(key).weight", "\(value).weight"),
      NameRule("blocks.*.attn.qkv.bias", "\(query).bias", "\(key).bias", "\(value).bias", in: .plain),
      NameRule("blocks.*.attn.qkv.bias", "\(query).bias", nil, "\(value).bias", in: .beit),
      NameRule("blocks.*.attn.q_bias", "\(query).bias", in: .beit),
      NameRule("blocks.*.attn.v_bias", "\(value).bias", in: .beit),
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
}

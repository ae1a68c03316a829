/// The models of timm that compute as ours do, by name, with what names and shapes of weights do not tell.
///
/// Made by `Tests/InteroperabilityTests/Fixtures/list_timm_architectures.py` of timm 1.0.31.
enum TimmArchitectures {
  static let all: [String: (heads: Int, normEpsilon: Float)] = {
    var result: [String: (heads: Int, normEpsilon: Float)] = [:]
    for (heads, epsilon, names) in groups {
      for name in names { result[name] = (heads, epsilon) }
    }
    return result
  }()

  private static let groups: [(heads: Int, normEpsilon: Float, names: [String])] = [
    (
      3, 1e-06,
      ["deit_tiny_patch16_224", "vit_tiny_patch16_224", "vit_tiny_patch16_224_in21k", "vit_tiny_patch16_384"]
    ),
    (
      6, 1e-06,
      [
        "deit_small_patch16_224", "vit_small_patch14_dinov2", "vit_small_patch16_224",
        "vit_small_patch16_224_dino", "vit_small_patch16_224_in21k", "vit_small_patch16_36x1_224",
        "vit_small_patch16_384", "vit_small_patch32_224", "vit_small_patch32_224_in21k",
        "vit_small_patch32_384", "vit_small_patch8_224", "vit_small_patch8_224_dino",
      ]
    ),
    (
      12, 1e-06,
      [
        "beit_base_patch16_224", "beit_base_patch16_384", "beitv2_base_patch16_224", "deit_base_patch16_224",
        "deit_base_patch16_384", "vit_base_patch14_dinov2", "vit_base_patch16_224",
        "vit_base_patch16_224_dino", "vit_base_patch16_224_in21k", "vit_base_patch16_224_miil",
        "vit_base_patch16_224_miil_in21k", "vit_base_patch16_384", "vit_base_patch32_224",
        "vit_base_patch32_224_in21k", "vit_base_patch32_384", "vit_base_patch8_224",
        "vit_base_patch8_224_dino", "vit_base_patch8_224_in21k",
      ]
    ),
    (14, 1e-06, ["vit_base_patch16_plus_240", "vit_base_patch32_plus_256"]),
    (
      16, 1e-06,
      [
        "beit_large_patch16_224", "beit_large_patch16_384", "beit_large_patch16_512",
        "beitv2_large_patch16_224", "eva_large_patch14_196", "eva_large_patch14_336", "vit_giant_patch14_224",
        "vit_gigantic_patch14_224", "vit_huge_patch14_224", "vit_huge_patch14_224_in21k",
        "vit_intern300m_patch14_448", "vit_large_patch14_224", "vit_large_patch14_dinov2",
        "vit_large_patch16_224", "vit_large_patch16_224_in21k", "vit_large_patch16_384",
        "vit_large_patch32_224", "vit_large_patch32_224_in21k", "vit_large_patch32_384",
      ]
    ),
    (12, 1e-05, ["beit3_base_patch16_224"]),
    (16, 1e-05, ["beit3_giant_patch14_224", "beit3_giant_patch14_336", "beit3_large_patch16_224"]),
  ]
}

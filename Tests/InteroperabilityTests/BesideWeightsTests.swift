import Configuration
import Foundation
import Imaging
import Interoperability
import Models
import Storage
import Terminal
import TestSupport
import Testing
import Trainer

/// Configurations beside weights: all that they say is taken up, or agrees, or is refused by name.
@Suite struct BesideWeightsTests {
  private static func fixture(_ name: String) -> String {
    URL(fileURLWithPath: #filePath).deletingLastPathComponent()
      .appendingPathComponent("Fixtures/\(name)").path
  }

  /// Imports published weights with files beside them.
  private func imported(
    _ weights: String, layout: WeightLayout, beside files: [String: String], heads: Int? = nil,
    ignoring exceptions: Set<String> = []
  ) throws -> (card: ModelCard, notes: [String]) {
    try withTemporaryFolder { folder in
      let (source, output) = (folder + "/model.safetensors", folder + "/out.h5")
      try FileManager.default.copyItem(atPath: Self.fixture("transfer/\(weights)"), toPath: source)
      for (name, text) in files {
        try text.write(toFile: "\(folder)/\(name)", atomically: true, encoding: .utf8)
      }
      let report = try WeightConversion.importWeights(
        .init(
          source: source, layout: layout, output: output, told: .init(heads: heads), ignoring: exceptions))
      return (try #require(try Checkpoint.header(of: output).card?.transformer), report.notes)
    }
  }

  private func refusal(_ body: () throws -> Void) -> String {
    let error = #expect(throws: RunError.self) { try body() }
    return error.map { "\($0)" } ?? ""
  }

  // MARK: - Hugging Face's

  /// A whole configuration with a key changed.
  private func huggingFace(_ change: (inout [String: Any]) -> Void) throws -> String {
    let text = try Data(
      contentsOf: URL(fileURLWithPath: Self.fixture("transfer/huggingface_mean/config.json")))
    var object = try #require(try JSONSerialization.jsonObject(with: text) as? [String: Any])
    change(&object)
    return String(decoding: try JSONSerialization.data(withJSONObject: object), as: UTF8.self)
  }

  private func huggingFace(_ key: String, _ value: Any) throws -> (card: ModelCard, notes: [String]) {
    try imported(
      "huggingface_mean/model.safetensors", layout: .huggingface,
      beside: ["config.json": huggingFace { $0[key] = value }])
  }

  @Test(arguments: [
    ("hidden_act", "\"relu\""), ("hidden_act", "\"quick_gelu\""), ("hidden_size", "24"),
    ("num_hidden_layers", "3"),
    ("intermediate_size", "48"), ("patch_size", "16"), ("num_channels", "1"), ("image_size", "64"),
    ("image_size", "[32, 64]"), ("num_attention_heads", "6"), ("num_attention_heads", "\"many\""),
    ("model_type", "\"clip\""), ("use_absolute_position_embeddings", "true"),
    ("use_relative_position_bias", "false"),
    ("layer_scale_init_value", "0"), ("quantization_config", "{\"bits\": 4}"), ("rope_theta", "10000"),
    ("use_swiglu_ffn", "true"),
    // Of five classes: too few, too many, one number left out, no names.
    ("id2label", #"{"0": "a", "1": "b"}"#), ("id2label", #"["a", "b", "c", "d", "e", "f"]"#),
    ("id2label", #"{"0": "a", "1": "b", "2": "c", "3": "d", "5": "e"}"#),
    ("id2label", #"{"0": 1, "1": 2, "2": 3, "3": 4, "4": 5}"#),
  ])
  func anotherNetworkIsRefusedByName(_ key: String, _ value: String) throws {
    let object = try JSONSerialization.jsonObject(with: Data(value.utf8), options: .fragmentsAllowed)
    let message = refusal { _ = try huggingFace(key, object) }
    // Of heads the table of positions knows better.
    #expect(message.contains(key) || message.contains("6 attention heads"), "\(message)")
  }

  @Test func whatIsSaidIsTakenUp() throws {
    let card = try huggingFace("layer_norm_eps", 1e-4).card
    #expect(card.architecture.normEpsilon == 1e-4 && card.architecture.heads == 3)
    #expect(try huggingFace("drop_path_rate", 0.3).card.architecture.heads == 3)
    #expect(try huggingFace("rope_theta", NSNull()).card.architecture.heads == 3)
    let names = ["a", "b", "c", "d", "e"]
    #expect(try huggingFace("id2label", names).card.classes == names)
  }

  @Test func whoeverGivesWeightsMayLeaveOutWhatTheirConfigurationSays() throws {
    let files = ["config.json": try huggingFace { $0["rope_theta"] = 1 }]
    for name in ["rope_theta", "config.json"] {
      _ = try imported(
        "huggingface_mean/model.safetensors", layout: .huggingface, beside: files, heads: 3, ignoring: [name])
    }
  }

  @Test(arguments: ["{", "[1]", "3", ""]) func whatIsNoObjectOfJSONIsRefused(_ text: String) throws {
    for name in ["config.json", "preprocessor_config.json"] {
      let message = refusal {
        _ = try imported("huggingface_mean/model.safetensors", layout: .huggingface, beside: [name: text])
      }
      #expect(message.contains("/\(name) is no") && message.contains("JSON"), "\(message)")
    }
  }

  @Test func aConfigurationOfNobodysIsRefused() throws {
    let message = refusal {
      _ = try imported("timm_vit.safetensors", layout: .timm, beside: ["config.json": "{\"a\": 1}"], heads: 3)
    }
    #expect(message.contains("neither Hugging Face's nor timm's"), "\(message)")
  }

  // MARK: - Images

  /// What a pixel becomes is what transformers makes of it.
  @Test func imagesAreNormalizedAsByTransformers() throws {
    struct Case: Decodable { let values: [Double] }
    let data = try Data(contentsOf: URL(fileURLWithPath: Self.fixture("foreign/preprocessors.json")))
    let objects = try #require(try JSONSerialization.jsonObject(with: data) as? [[String: Any]])
    #expect(objects.count == 6)
    for object in objects {
      let text = String(
        decoding: try JSONSerialization.data(withJSONObject: try #require(object["configuration"])),
        as: UTF8.self)
      let values = try #require(object["values"] as? [Double])
      let found = try imported(
        "huggingface_mean/model.safetensors", layout: .huggingface,
        beside: ["preprocessor_config.json": text]
      ).card.preprocessing.normalization
      for channel in 0..<3 {
        let value = (100.0 / 255 - found.mean[channel]) / found.standardDeviation[channel]
        #expect(abs(value - values[channel]) < 1e-4 * max(1, abs(value)), "\(text)")
      }
    }
  }

  @Test(arguments: [
    (#"{"image_mean": [123.675, 116.28, 103.53], "image_std": [58.395, 57.12, 57.375]}"#, "image_mean"),
    (#"{"image_mean": [0.5, 0.5, 0.5], "image_std": [58, 58, 58]}"#, "image_std"),
    (#"{"image_mean": [0.5, 0.5], "image_std": 0.5}"#, "image_mean"),
    (#"{"image_mean": 0.5}"#, "image_mean"), (#"{"do_normalize": true}"#, "do_normalize"),
    (#"{"rescale_factor": 0.0078431}"#, "rescale_factor"), (#"{"rescale_offset": true}"#, "rescale_offset"),
    (#"{"do_resize": true, "size": 40, "resample": 5}"#, "resample"),
    (#"{"do_resize": true, "size": {"height": 32, "width": 64}}"#, "size"), (#"{"do_pad": true}"#, "do_pad"),
    (#"{"do_resize": true, "size": {"height": 34, "width": 34}}"#, "size"),
    (#"{"do_resize": true, "do_center_crop": true, "crop_size": 48, "size": 64}"#, "crop_size"),
    (#"{"do_resize": true, "do_center_crop": true, "crop_size": 32, "size": 16}"#, "size"),
    (
      #"{"do_resize": true, "do_center_crop": true, "crop_size": {"height": 32, "width": 16}, "size": 64}"#,
      "crop_size"
    ),
    (#"{"do_resize": true, "size": "large"}"#, "size"), (#"{"do_sharpen": true}"#, "do_sharpen"),
    (#"{"do_resize": 1, "size": 40}"#, "do_resize"),
  ])
  func imagesThatCannotBeShownSoAreRefused(_ text: String, _ key: String) throws {
    let message = refusal {
      _ = try imported(
        "huggingface_mean/model.safetensors", layout: .huggingface, beside: ["preprocessor_config.json": text]
      )
    }
    #expect(message.contains("preprocessor_config.json: '\(key)'"), "\(message)")
  }

  // MARK: - timm's

  private func timm(_ text: String) throws -> (card: ModelCard, notes: [String]) {
    try imported("timm_vit.safetensors", layout: .timm, beside: ["config.json": text], heads: nil)
  }

  @Test(arguments: [
    (#"{"architecture": "resnet50"}"#, "architecture"),
    (#"{"architecture": "vit_small_patch16_rope_224.ap_in1k"}"#, "architecture"),
    (#"{"architecture": "vit_base_patch16_clip_quickgelu_224"}"#, "architecture"),
    (#"{"num_features": 768, "model_args": {"num_heads": 3}}"#, "num_features"),
    (
      #"{"pretrained_cfg": {"input_size": [3, 112, 448]}, "model_args": {"num_heads": 3}}"#,
      "pretrained_cfg.input_size"
    ),
    (
      #"{"pretrained_cfg": {"mean": [123, 116, 103], "std": [58, 57, 57]}, "model_args": {"num_heads": 3}}"#,
      "pretrained_cfg.mean"
    ),
    (#"{"pretrained_cfg": {"sharpness": 2}, "model_args": {"num_heads": 3}}"#, "pretrained_cfg.sharpness"),
    (
      #"{"pretrained_cfg": {"interpolation": "hamming"}, "model_args": {"num_heads": 3}}"#,
      "pretrained_cfg.interpolation"
    ),
    (
      #"{"pretrained_cfg": {"label_offset": 1}, "model_args": {"num_heads": 3}}"#,
      "pretrained_cfg.label_offset"
    ),
    (#"{"num_features": 12, "global_pool": "avg", "model_args": {"num_heads": 3}}"#, "global_pool"),
    (
      #"{"num_features": 12, "model_args": {"num_heads": 3, "act_layer": "quick_gelu"}}"#,
      "model_args.act_layer"
    ),
    (#"{"num_features": 12, "model_args": {"num_heads": 3, "qk_norm": true}}"#, "model_args.qk_norm"),
    (#"{"num_features": 12, "model_args": {"num_heads": 3, "reg_tokens": 4}}"#, "model_args.reg_tokens"),
    (#"{"num_features": 12, "model_args": {"num_heads": 3, "img_size": [112, 448]}}"#, "model_args.img_size"),
    (#"{"num_features": 12, "model_args": {"num_heads": 3, "rope_type": "axial"}}"#, "model_args.rope_type"),
    // The older, flat form.
    (
      #"{"architecture": "vit_large_r50_s32_224", "input_size": [3, 32, 32], "mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]}"#,
      "architecture"
    ),
    (#"{"num_features": 12, "input_size": [3, 32, 64]}"#, "input_size"),
    (#"{"num_features": 12, "label_names": ["a", "b"], "model_args": {"num_heads": 3}}"#, "label_names"),
  ])
  func timmsOtherNetworksAreRefusedByName(_ text: String, _ key: String) throws {
    let message = refusal { _ = try timm(text) }
    #expect(message.contains("config.json: '\(key)'"), "\(message)")
  }

  /// Those of one width are made with different heads, and computing with others is silently wrong.
  @Test func headsThatNothingTellsHaveToBeSaid() throws {
    let message = refusal { _ = try imported("timm_vit.safetensors", layout: .timm, beside: [:]) }
    #expect(message.contains("does not tell how many attention heads") && message.contains("--heads"))
    #expect(
      ViTSize.heads(width: 384, prefix: "") == nil && ViTSize.heads(width: 768, prefix: "model.") == nil)
    // MoCo v3 has one network of a width.
    #expect(ViTSize.heads(width: 384, prefix: "module.base_encoder.") == 12)
    #expect(ViTSize.heads(width: 512, prefix: "module.base_encoder.") == nil)
  }

  @Test func whatTimmSaysIsTakenUp() throws {
    let (card, notes) = try timm(
      #"""
      {"num_features": 12, "num_classes": 5, "global_pool": "token", "model_args": {"num_heads": 6, "img_size": 32},
       "pretrained_cfg": {"mean": [0.5, 0.4, 0.3], "std": [0.5, 0.5, 0.5], "interpolation": "bilinear",
         "crop_pct": 0.8, "crop_mode": "squash", "input_size": [3, 64, 64], "license": "mit"}}
      """#)
    #expect(card.architecture.heads == 6 && card.preprocessing.normalization.mean == [0.5, 0.4, 0.3])
    #expect(card.preprocessing.interpolation == .bilinear && card.preprocessing.resize == 40)
    #expect(
      notes.count == 2 && notes.contains { $0.contains("crop_mode") }
        && notes.contains { $0.contains("input_size") })
    // Of the older form, and by its name.
    let flat = try timm(
      #"""
      {"architecture": "vit_tiny_patch16_224", "num_classes": 5, "num_features": 12, "global_pool": "token",
       "input_size": [3, 32, 32], "mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5], "interpolation": "bicubic",
       "crop_pct": 0.9, "first_conv": "patch_embed.proj", "classifier": "head", "pool_size": null}
      """#
    ).card
    #expect(flat.architecture.heads == 3 && flat.preprocessing.resize == 35)
    #expect(flat.preprocessing.normalization.mean == [0.5, 0.5, 0.5])
  }
}

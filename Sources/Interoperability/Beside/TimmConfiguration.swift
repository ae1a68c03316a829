import Configuration
import Foundation
import Imaging
import Layers
import Models

/// The `config.json` of timm's that lies beside weights: the model's name, what it is made with, how images are shown.
enum TimmConfiguration {
  /// Whether an object is timm's, of today's form or of the older, flat one.
  static func isTimms(_ object: [String: Any]) -> Bool {
    ["architecture", "pretrained_cfg", "num_features", "first_conv"].contains { object[$0] != nil }
  }

  /// Takes up what it says, or finds that it agrees with the weights.
  ///
  /// - Parameters:
  ///   - file: What stands in the file.
  ///   - facts: What names and shapes tell; its heads and epsilons are not looked at.
  ///   - description: What is taken up, where nobody has said it before.
  static func read(
    _ file: SidecarReader, _ facts: ModelCard.Architecture, into description: inout WeightDescription
  ) {
    readArguments(file.section("model_args"), facts, into: &description)
    if let name = file.text("architecture") { readArchitecture(name, file, into: &description) }
    file.agree("num_features", with: facts.width)
    readPooling(file, facts)
    readClasses(file, facts, into: &description)
    if let trained = file.section("pretrained_cfg") {
      readTrained(trained, facts, into: &description)
    } else {
      readTrained(file, facts, into: &description)
    }
    // Of transformers' wrapper around timm.
    file.require("model_type", ["timm_wrapper"])
    file.ignore(
      "do_pooling", "initializer_range", "transformers_version", "torch_dtype", "dtype", "architectures",
      "problem_type",
      "_name_or_path", "id2label", "label2id", "num_labels")
  }

  /// A name of timm's tells what shapes do not.
  private static func readArchitecture(
    _ name: String, _ file: SidecarReader, into description: inout WeightDescription
  ) {
    // What comes behind a dot are the weights' own.
    guard let known = TimmArchitectures.all[String(name.prefix { $0 != "." })] else {
      return file.refuse("architecture", "is '\(name)', which is not one of timm's that peco computes")
    }
    description.heads = description.heads ?? known.heads
    description.normEpsilon = description.normEpsilon ?? known.normEpsilon
    description.isArchitectureTold = true
  }

  /// Arguments that make another model of a name than its own.
  private static func readArguments(
    _ file: SidecarReader?, _ facts: ModelCard.Architecture, into description: inout WeightDescription
  ) {
    guard let file else { return }
    let heads = file.integer("num_heads")
    description.heads = description.heads ?? heads
    file.agree("embed_dim", with: facts.width)
    file.agree("depth", with: facts.depth)
    file.agree("in_chans", with: 3)
    description.take(imageSides: file.sides("img_size"), "img_size", file, facts)
    if let sides = file.sides("patch_size"), let other = sides.first(where: { $0 != facts.patchSize }) {
      file.refuse("patch_size", "is \(other), but the weights have \(facts.patchSize)")
    }
    if let ratio = file.number("mlp_ratio"),
      Int(exactly: (ratio * Double(facts.width)).rounded(.towardZero)) != facts.transformer.hiddenWidth
    {
      file.refuse(
        "mlp_ratio", "is \(ratio), but the weights have a hidden layer of \(facts.transformer.hiddenWidth)")
    }
    file.agree("qkv_bias", with: facts.qkvBias != .none)
    file.agree("use_abs_pos_emb", with: facts.positions.contains(.absolute))
    file.agree("use_rel_pos_bias", with: facts.positions.contains(.relative))
    file.agree("use_shared_rel_pos_bias", with: facts.positions.contains(.sharedRelative))
    file.require("pos_embed", ["learn"])
    file.require("class_token", true)
    file.require("final_norm", true)
    for key in [
      "qk_norm", "scale_attn_norm", "scale_mlp_norm", "no_embed_class", "pre_norm", "pool_include_prefix",
      "swiglu_mlp",
      "scale_mlp", "dynamic_img_pad",
    ] { file.require(key, false) }
    if let tokens = file.integer("reg_tokens"), tokens != 0 {
      file.refuse("reg_tokens", "is \(tokens), peco has none")
    }
    if let scale = file.number("init_values"), (scale != 0) != facts.hasLayerScale {
      file.refuse(
        "init_values", "is \(scale), but the weights have \(facts.hasLayerScale ? "a" : "no") layer scale")
    }
    file.require("act_layer", ["gelu"])
    file.require("norm_layer", ["layernorm", "LayerNorm"])
    readPooling(file, facts)
    file.ignore(
      "fc_norm", "use_fc_norm", "num_classes", "proj_bias", "dynamic_img_size", "drop_rate", "pos_drop_rate",
      "patch_drop_rate", "proj_drop_rate", "attn_drop_rate", "drop_path_rate", "weight_init", "fix_init",
      "head_init_scale")
  }

  /// What the head reads; nothing hangs on it where there is none.
  private static func readPooling(_ file: SidecarReader, _ facts: ModelCard.Architecture) {
    guard let pooling = file.text("global_pool"), facts.head != nil else { return }
    let expected = facts.norm == .pooled ? "avg" : "token"
    guard pooling != expected else { return }
    let norm = facts.norm?.rawValue ?? "no norm"
    file.refuse("global_pool", "is '\(pooling)', which with the weights' \(norm) peco does not compute")
  }

  private static func readClasses(
    _ file: SidecarReader, _ facts: ModelCard.Architecture, into description: inout WeightDescription
  ) {
    if facts.classes != nil {
      file.agree("num_classes", with: facts.classes)
    } else {
      file.ignore("num_classes")
    }
    description.take(classes: file.names("label_names"), "label_names", file, facts)
    file.ignore("label_descriptions")
    if let offset = file.integer("label_offset"), offset != 0 {
      file.refuse("label_offset", "is \(offset), peco counts classes from the first")
    }
  }

  /// How images are shown.
  private static func readTrained(
    _ file: SidecarReader, _ facts: ModelCard.Architecture, into description: inout WeightDescription
  ) {
    let isTold = description.normalization != nil
    if isTold { file.ignore("mean", "std") }
    let (mean, deviation) = isTold ? (nil, nil) : (file.channels("mean"), file.channels("std"))
    if let mean, let deviation {
      description.take(ImageNormalization(mean: mean, standardDeviation: deviation), ("mean", "std"), file)
    } else if mean != nil || deviation != nil {
      file.refuse(
        mean == nil ? "std" : "mean", "is given alone: mean and std go together; say them by --mean and --std"
      )
    }
    if let name = file.text("interpolation") {
      if let filter = ResampleFilter(rawValue: name) {
        description.interpolation = description.interpolation ?? filter
      } else if description.interpolation == nil, name != "random" {
        file.refuse(
          "interpolation",
          "is '\(name)', a filter that peco does not have; say another by --set data.interpolation=bicubic")
      }
    }
    let sides = file.sides("input_size")
    if let sides {
      if sides.count != 3 || sides[0] != 3 || sides[1] != sides[2] {
        file.refuse("input_size", "is \(sides), peco shows squares of three channels")
      } else if sides[1] != description.imageSize ?? facts.imageHeight {
        if facts.positions.isEmpty {
          description.imageSize = description.imageSize ?? sides[1]
        } else {
          file.note(
            "input_size",
            "says \(sides[1]), but the table of positions is of \(facts.imageHeight), which is taken")
        }
      }
    }
    if let share = file.number("crop_pct") {
      let side = description.imageSize ?? facts.imageHeight
      if share > 0, share <= 1, let length = Int(exactly: (Double(side) / share).rounded(.down)) {
        description.resize = description.resize ?? length
      } else {
        file.refuse("crop_pct", "is \(share), expected a share above 0 and up to 1")
      }
    }
    if let mode = file.text("crop_mode"), mode != "center" {
      file.note("crop_mode", "is '\(mode)'; peco keeps an image's proportions and shows the middle square")
    }
    readClasses(file, facts, into: &description)
    file.ignore(
      "url", "file", "state_dict", "hf_hub_id", "hf_hub_filename", "source", "architecture", "tag",
      "custom_load",
      "test_input_size", "min_input_size", "fixed_input_size", "test_crop_pct", "pool_size", "test_pool_size",
      "first_conv",
      "classifier", "license", "description", "origin_url", "paper_name", "paper_ids", "notes")
  }
}

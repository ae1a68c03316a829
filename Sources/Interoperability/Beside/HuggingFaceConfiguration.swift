import Configuration
import Foundation
import Layers
import Models

/// The `config.json` of Hugging Face's that lies beside weights: what makes the model.
enum HuggingFaceConfiguration {
  /// Takes up what it says, or finds that it agrees with the weights.
  ///
  /// - Parameters:
  ///   - file: What stands in the file.
  ///   - facts: What names and shapes tell; its heads and epsilons are not looked at.
  ///   - description: What is taken up, where nobody has said it before.
  static func read(
    _ file: SidecarReader, _ facts: ModelCard.Architecture, into description: inout WeightDescription
  ) {
    file.require("model_type", ["beit", "vit", "vit_mae", "vit_msn"])
    file.agree("hidden_size", with: facts.width)
    file.agree("num_hidden_layers", with: facts.depth)
    file.agree("intermediate_size", with: facts.transformer.hiddenWidth)
    file.agree("patch_size", with: facts.patchSize)
    file.agree("num_channels", with: 3)
    file.require("hidden_act", ["gelu"])
    file.agree("qkv_bias", with: facts.qkvBias != .none)
    file.agree("use_absolute_position_embeddings", with: facts.positions.contains(.absolute))
    file.agree("use_relative_position_bias", with: facts.positions.contains(.relative))
    file.agree("use_shared_relative_position_bias", with: facts.positions.contains(.sharedRelative))
    if let scale = file.number("layer_scale_init_value"), (scale > 0) != facts.hasLayerScale {
      file.refuse(
        "layer_scale_init_value",
        "is \(scale), but the weights have \(facts.hasLayerScale ? "a" : "no") layer scale")
    }
    description.take(imageSides: file.sides("image_size"), "image_size", file, facts)
    let heads = file.integer("num_attention_heads")
    description.heads = description.heads ?? heads
    if let epsilon = file.number("layer_norm_eps") {
      description.normEpsilon = description.normEpsilon ?? Float(epsilon)
    }
    // A model of the mean of patches without its pooler has no norm at all.
    if file.flag("use_mean_pooling") == true, facts.norm == nil { description.lacksNorm = true }
    description.take(classes: file.names("id2label"), "id2label", file, facts)
    if facts.vocabulary != nil {
      file.agree("vocab_size", with: facts.vocabulary)
    } else {
      file.ignore("vocab_size")
    }
    // Tokens of masked patches alone are told apart with it, and a file has it or has it not.
    file.ignore("use_mask_token")
    ignoreOthers(file)
    description.isArchitectureTold = true
  }

  /// Keys of training, of heads that are reported with their weights, and of every model of Hugging Face's.
  private static func ignoreOthers(_ file: SidecarReader) {
    file.ignore(
      "hidden_dropout_prob", "attention_probs_dropout_prob", "drop_path_rate", "initializer_range",
      "mask_ratio",
      "norm_pix_loss")
    file.ignore(
      "out_features", "out_indices", "stage_names", "pool_scales", "use_auxiliary_head",
      "auxiliary_loss_weight",
      "auxiliary_channels", "auxiliary_num_convs", "auxiliary_concat_input", "semantic_loss_ignore_index",
      "add_fpn",
      "reshape_hidden_states", "encoder_stride", "pooler_output_size", "pooler_act", "decoder_hidden_size",
      "decoder_num_hidden_layers", "decoder_num_attention_heads", "decoder_intermediate_size", "label2id",
      "num_labels")
    file.ignore(
      "_name_or_path", "architectures", "chunk_size_feed_forward", "dtype", "torch_dtype",
      "is_encoder_decoder",
      "output_attentions", "output_hidden_states", "problem_type", "return_dict", "transformers_version",
      "_commit_hash", "use_cache", "torchscript", "tie_word_embeddings", "finetuning_task", "use_bfloat16",
      "_attn_implementation_autoset")
  }

  /// What transformers names a class that nobody named.
  static func madeUpName(_ number: Int) -> String { "LABEL_\(number)" }
}

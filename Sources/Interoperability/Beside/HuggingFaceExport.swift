import Configuration
import Foundation
import Imaging
import Models

/// What is written beside weights for Hugging Face's transformers.
enum HuggingFaceExport {
  /// Writes both files of a BEiT, but for those that are there already.
  ///
  /// - Returns: For each file that is there, in which keys it says something else, if in any.
  static func write(beside output: String, _ card: ModelCard) throws -> [String] {
    let files: [(SidecarFile, [String: Any])] = [
      (.model, model(card)), (.preprocessor, preprocessor(card)),
    ]
    return try files.compactMap { try $0.write($1, beside: output) }
  }

  /// What makes the model.
  private static func model(_ card: ModelCard) -> [String: Any] {
    let (architecture, transformer) = (card.architecture, card.architecture.transformer)
    var object: [String: Any] = [
      "model_type": "beit", "hidden_size": architecture.width, "num_hidden_layers": architecture.depth,
      "num_attention_heads": architecture.heads, "intermediate_size": transformer.hiddenWidth,
      "hidden_act": "gelu", "layer_norm_eps": architecture.normEpsilon,
      "image_size": transformer.imageSize, "patch_size": architecture.patchSize, "num_channels": 3,
      "layer_scale_init_value": transformer.layerScale?.decimal ?? 0,
      "use_mask_token": architecture.hasMaskToken,
      "use_absolute_position_embeddings": architecture.positions.contains(.absolute),
      "use_relative_position_bias": architecture.positions.contains(.relative),
      "use_shared_relative_position_bias": architecture.positions.contains(.sharedRelative),
      // The model of masked patches has its norm outside of the transformer, which then must have none.
      "use_mean_pooling": architecture.norm != .tokens || architecture.vocabulary != nil,
    ]
    if let vocabulary = architecture.vocabulary { object["vocab_size"] = vocabulary }
    if let classes = architecture.classes {
      let names = (0..<classes).map {
        ("\($0)", card.classes?[$0] ?? HuggingFaceConfiguration.madeUpName($0))
      }
      object["id2label"] = Dictionary(uniqueKeysWithValues: names)
      object["label2id"] = Dictionary(
        names.map { ($1, Int($0) ?? 0) }, uniquingKeysWith: { first, _ in first })
    }
    object["architectures"] = [
      architecture.classes != nil
        ? "BeitForImageClassification"
        : architecture.vocabulary != nil ? "BeitForMaskedImageModeling" : "BeitModel"
    ]
    return object
  }

  /// What makes its images: the middle, as `peco evaluate` shows it. Of the processors with a shorter side and a middle
  /// it is the one that every version of transformers has; BEiT's own wanted both sides before version 5.
  private static func preprocessor(_ card: ModelCard) -> [String: Any] {
    let (size, preprocessing) = (card.architecture.imageHeight, card.preprocessing)
    return [
      "image_processor_type": "CLIPImageProcessor", "do_resize": true,
      "size": ["shortest_edge": preprocessing.shortSide(imageSize: size)],
      "resample": HuggingFacePreprocessor.filters[preprocessing.interpolation] ?? 3,
      "do_center_crop": true, "crop_size": ["height": size, "width": size], "do_rescale": true,
      "rescale_factor": 1.0 / 255, "do_normalize": true, "image_mean": preprocessing.normalization.mean,
      "image_std": preprocessing.normalization.standardDeviation,
    ]
  }
}

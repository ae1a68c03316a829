import Configuration
import Foundation
import Imaging
import Models

/// The `config.json` that lies beside weights of Hugging Face's, and the `preprocessor_config.json`.
struct HuggingFaceConfiguration {
  let heads: Int?
  let normEpsilon: Float?
  /// The names of the classes, in the order of the logits; nil where they are mere numbers.
  let classes: [String]?

  /// Reads `config.json` beside a file of weights; nil where there is none, or where the layout is another.
  init?(beside path: String, layout: WeightLayout) {
    guard layout == .huggingface, let model = SidecarFile.model.read(beside: path) else { return nil }
    heads = (model["num_attention_heads"] as? NSNumber)?.intValue
    normEpsilon = (model["layer_norm_eps"] as? NSNumber)?.floatValue
    classes = (model["id2label"] as? [String: Any]).flatMap { Self.names($0) }
  }

  /// Names in the order of their numbers; nil where numbers are left out, or all names are those that transformers
  /// makes up.
  private static func names(_ labels: [String: Any]) -> [String]? {
    let names = (0..<labels.count).compactMap { labels["\($0)"] as? String }
    guard names.count == labels.count else { return nil }
    return names.enumerated().allSatisfy { $0.element == madeUpName($0.offset) } ? nil : names
  }

  private static func madeUpName(_ number: Int) -> String { "LABEL_\(number)" }

  /// Length in pixels that `preprocessor_config.json` resizes the shorter side of images to; nil where it does not say.
  ///
  /// Where both sides become equal, that is the length: images keep their proportions here, so that the middle square
  /// is seen in place of the whole, squeezed image.
  static func shortSide(beside path: String) -> Int? {
    guard let preprocessor = SidecarFile.preprocessor.read(beside: path),
      preprocessor["do_resize"] as? Bool == true
    else { return nil }
    if let side = preprocessor["size"] as? NSNumber { return side.intValue }
    let size = preprocessor["size"] as? [String: Any] ?? [:]
    let sides = ["shortest_edge", "height", "width"].compactMap { (size[$0] as? NSNumber)?.intValue }
    return sides.min()
  }

  /// How `preprocessor_config.json` resizes images; nil where it does not say, or by a filter that is not here.
  static func interpolation(beside path: String) -> ResampleFilter? {
    let number = (SidecarFile.preprocessor.read(beside: path)?["resample"] as? NSNumber)?.intValue
    return filters.first { $0.value == number }?.key
  }

  /// Pillow's numbers.
  private static let filters: [ResampleFilter: Int] = [.lanczos: 1, .bilinear: 2, .bicubic: 3, .box: 4]

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
      "use_mean_pooling": architecture.norm == .pooled || architecture.vocabulary != nil,
    ]
    if let vocabulary = architecture.vocabulary { object["vocab_size"] = vocabulary }
    if let classes = architecture.classes {
      let names = (0..<classes).map { ("\($0)", card.classes?[$0] ?? madeUpName($0)) }
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
      "resample": filters[preprocessing.interpolation] ?? 3,
      "do_center_crop": true, "crop_size": ["height": size, "width": size], "do_rescale": true,
      "rescale_factor": 1.0 / 255, "do_normalize": true, "image_mean": preprocessing.normalization.mean,
      "image_std": preprocessing.normalization.standardDeviation,
    ]
  }
}

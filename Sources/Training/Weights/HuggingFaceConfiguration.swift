import Datasets
import Foundation
import Models
import Storage

/// The `config.json` that lies beside weights of Hugging Face's, and the `preprocessor_config.json`.
struct HuggingFaceConfiguration {
  let heads: Int?
  let normEpsilon: Float?
  /// Length that the shorter side of a picture is resized to before the middle is cut out.
  let resize: Int?

  /// Reads those beside a file of weights; nil where there is no `config.json`, or where the layout is another.
  init?(beside path: String, layout: WeightLayout) {
    guard layout == .huggingface, let model = Self.read(Self.path(beside: path, Self.modelName)) else {
      return nil
    }
    heads = (model["num_attention_heads"] as? NSNumber)?.intValue
    normEpsilon = (model["layer_norm_eps"] as? NSNumber)?.floatValue
    let preprocessor = Self.read(Self.path(beside: path, Self.preprocessorName))
    let isCut =
      preprocessor?["do_resize"] as? Bool == true && preprocessor?["do_center_crop"] as? Bool == true
    let size = preprocessor?["size"] as? [String: Any]
    resize = isCut ? (size?["shortest_edge"] as? NSNumber)?.intValue : nil
  }

  private static func read(_ path: String) -> [String: Any]? {
    FileManager.default.contents(atPath: path)
      .flatMap { try? JSONSerialization.jsonObject(with: $0) } as? [String: Any]
  }

  private static let modelName = "config.json"
  private static let preprocessorName = "preprocessor_config.json"

  /// Writes both files of a BEiT, but for those that are there already.
  ///
  /// - Returns: For each file that is there, in which keys it says something else, if in any.
  static func write(
    beside output: String, _ architecture: VisionTransformerConfiguration, _ form: TransformerForm
  ) throws -> [String] {
    let files = [
      (modelName, model(architecture, form)), (preprocessorName, preprocessor(architecture, form)),
    ]
    return try files.compactMap { try write($1, to: path(beside: output, $0)) }
  }

  /// What makes the model.
  private static func model(
    _ architecture: VisionTransformerConfiguration, _ form: TransformerForm
  ) -> [String: Any] {
    var object: [String: Any] = [
      "model_type": "beit", "hidden_size": architecture.width, "num_hidden_layers": architecture.depth,
      "num_attention_heads": architecture.heads, "intermediate_size": architecture.hiddenWidth,
      "hidden_act": "gelu", "layer_norm_eps": decimal(architecture.normEpsilon),
      "image_size": architecture.imageSize, "patch_size": architecture.patchSize, "num_channels": 3,
      "layer_scale_init_value": architecture.layerScale.map(decimal) ?? 0,
      "use_mask_token": form.shapes["mask_token"] != nil,
      "use_absolute_position_embeddings": architecture.positions.contains(.absolute),
      "use_relative_position_bias": architecture.positions.contains(.relative),
      "use_shared_relative_position_bias": architecture.positions.contains(.sharedRelative),
      // The model of masked patches has its norm outside of the transformer, which then must have none.
      "use_mean_pooling": form.norm == .pooled || form.vocabulary != nil,
    ]
    if let vocabulary = form.vocabulary { object["vocab_size"] = vocabulary }
    if let classes = form.classes {
      let names = (0..<classes).map { ("\($0)", form.classNames?[$0] ?? "LABEL_\($0)") }
      object["id2label"] = Dictionary(uniqueKeysWithValues: names)
      object["label2id"] = Dictionary(
        names.map { ($1, Int($0) ?? 0) }, uniquingKeysWith: { first, _ in first })
    }
    object["architectures"] = [
      form.classes != nil
        ? "BeitForImageClassification" : form.vocabulary != nil ? "BeitForMaskedImageModeling" : "BeitModel"
    ]
    return object
  }

  /// What makes its pictures: the middle, as `peco evaluate` shows it. Of the processors with a shorter side and a middle it
  /// is the one that every version of transformers has; BEiT's own wanted both sides before version 5.
  private static func preprocessor(
    _ architecture: VisionTransformerConfiguration, _ form: TransformerForm
  ) -> [String: Any] {
    let size = architecture.imageSize
    let normalization = form.normalization ?? .imageNet
    return [
      "image_processor_type": "CLIPImageProcessor", "do_resize": true,
      "size": ["shortest_edge": form.resize ?? Augmentation.evaluationShortSide(size: size)],
      "resample": 3,  // bicubic
      "do_center_crop": true, "crop_size": ["height": size, "width": size], "do_rescale": true,
      "rescale_factor": 1.0 / 255, "do_normalize": true, "image_mean": normalization.mean,
      "image_std": normalization.standardDeviation,
    ]
  }

  private static func write(_ object: [String: Any], to path: String) throws -> String? {
    let data = try JSONSerialization.data(
      withJSONObject: object, options: [.sortedKeys, .prettyPrinted, .withoutEscapingSlashes])
    if let present = FileManager.default.contents(atPath: path) {
      let (wanted, found) = (values(of: data), values(of: present))
      let others = wanted.keys.filter { wanted[$0] != found[$0] }.sorted()
      return others.isEmpty ? nil : "\(path), which says something else of \(others.joined(separator: ", "))"
    }
    try FileSystem.atomicallyReplace(path) { try data.write(to: URL(fileURLWithPath: $0)) }
    return nil
  }

  /// What stands under each key, as JSON.
  private static func values(of data: Data) -> [String: Data] {
    let object = (try? JSONSerialization.jsonObject(with: data)) as? [String: Any] ?? [:]
    return object.compactMapValues { try? JSONSerialization.data(withJSONObject: [$0], options: .sortedKeys) }
  }

  /// The number that is written as the float is.
  private static func decimal(_ value: Float) -> Double { Double("\(value)") ?? Double(value) }

  private static func path(beside file: String, _ name: String) -> String {
    "\(FileSystem.folder(of: file))/\(name)"
  }
}

import Foundation
import Models
import Storage

/// The `config.json` that lies beside weights of Hugging Face's.
struct HuggingFaceConfiguration {
  let heads: Int?
  let normEpsilon: Float?

  /// Reads the one beside a file of weights; nil where there is none, or where the layout is another.
  init?(beside path: String, layout: WeightLayout) {
    guard layout == .huggingface, let data = FileManager.default.contents(atPath: Self.path(beside: path)),
      let object = try? JSONSerialization.jsonObject(with: data) as? [String: Any]
    else { return nil }
    heads = (object["num_attention_heads"] as? NSNumber)?.intValue
    normEpsilon = (object["layer_norm_eps"] as? NSNumber)?.floatValue
  }

  /// Writes the one of a BEiT, unless a file is there already.
  ///
  /// - Returns: The file that is there and in which keys it says something else; nil where there is no such file.
  static func write(
    beside output: String, _ architecture: VisionTransformerConfiguration, _ form: TransformerForm
  ) throws -> String? {
    let path = path(beside: output)
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
      let names = (0..<classes).map { ("\($0)", "LABEL_\($0)") }
      object["id2label"] = Dictionary(uniqueKeysWithValues: names)
      object["label2id"] = Dictionary(uniqueKeysWithValues: names.map { ($1, Int($0) ?? 0) })
    }
    object["architectures"] = [
      form.classes != nil
        ? "BeitForImageClassification" : form.vocabulary != nil ? "BeitForMaskedImageModeling" : "BeitModel"
    ]
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

  private static func path(beside file: String) -> String {
    ((file as NSString).deletingLastPathComponent as NSString).appendingPathComponent("config.json")
  }
}

import Configuration
import Foundation
import Imaging
import Layers
import Models

/// The `config.json` that lies beside weights of timm's.
struct TimmConfiguration {
  /// What timm calls `pretrained_cfg`: how images are shown.
  let trained: [String: Any]
  /// The names of the classes, in the order of the logits.
  let classes: [String]?

  /// Reads the one beside a file of weights; nil where there is none, or none of timm's.
  init?(beside path: String) {
    guard let file = SidecarFile.model.read(beside: path),
      let trained = file["pretrained_cfg"] as? [String: Any]
    else { return nil }
    self.trained = trained
    classes = file["label_names"] as? [String] ?? trained["label_names"] as? [String]
  }

  /// How images are resized; nil where it is not said, or by a filter that is not here.
  package var interpolation: ResampleFilter? {
    (trained["interpolation"] as? String).flatMap { .init(rawValue: $0) }
  }

  /// Length in pixels that the shorter side of an image is resized to before its middle, `imageSize` pixels wide and
  /// high, is cut out; nil where it is not said.
  func shortSide(imageSize: Int) -> Int? {
    guard let share = (trained["crop_pct"] as? NSNumber)?.doubleValue, share > 0 else { return nil }
    return Int(exactly: (Double(imageSize) / share).rounded(.down))
  }

  /// Writes the one of a transformer, unless it is there already.
  ///
  /// - Returns: Where it is there, in which keys it says something else, if in any.
  static func write(beside output: String, _ card: ModelCard) throws -> [String] {
    let (architecture, preprocessing) = (card.architecture, card.preprocessing)
    let (size, normalization) = (architecture.imageHeight, preprocessing.normalization)
    let pooling = architecture.norm == .pooled ? "avg" : "token"
    let trained: [String: Any] = [
      "mean": normalization.mean, "std": normalization.standardDeviation, "input_size": [3, size, size],
      "fixed_input_size": true, "interpolation": preprocessing.interpolation.rawValue,
      "crop_mode": "center",
      "crop_pct": cropShare(size, of: preprocessing.shortSide(imageSize: size)),
      "first_conv": "patch_embed.proj",
      "classifier": "head",
    ]
    var object: [String: Any] = [
      "num_classes": architecture.classes ?? 0, "num_features": architecture.width, "global_pool": pooling,
      // The pooling above is there to be read; this makes the model, with the norm that goes with it.
      "model_args": ["global_pool": pooling], "pretrained_cfg": trained,
    ]
    if let name = architecture.transformer.timmName { object["architecture"] = name }
    if let names = card.classes { object["label_names"] = names }
    return try SidecarFile.model.write(object, beside: output).map { [$0] } ?? []
  }

  /// The share of `shortSide` that `size` is, rounded down, such that timm, which divides by it and rounds down, finds
  /// `shortSide` again.
  private static func cropShare(_ size: Int, of shortSide: Int) -> Double {
    (1e6 * Double(size) / Double(shortSide)).rounded(.down) / 1e6
  }
}

extension VisionTransformerConfiguration {
  /// Whether timm has it as a plain `VisionTransformer`, as against its `Beit`.
  var isPlain: Bool {
    qkvBias != .queryValue && positions.isDisjoint(with: [.relative, .sharedRelative])
  }

  /// What timm calls the model that computes the same with these weights, as they are exported; nil where it has none.
  ///
  /// Where all blocks share a table of relative positions, each block of an export has it.
  public var timmName: String? {
    let isOfTimms: Bool
    if isPlain {
      isOfTimms = positions == .absolute && qkvBias == .full && layerScale == nil
    } else {
      let isRelative = positions == .relative || positions == .sharedRelative
      isOfTimms = isRelative && qkvBias != .none && layerScale != nil
    }
    let size = ViTSize.allCases.first { $0.width == width && $0.depth == depth && $0.heads == heads }
    // timm's models add 1e-6; what differs where it is less is lost in rounding.
    guard isOfTimms, let size, hiddenWidth == 4 * width, normEpsilon <= 1e-6 else { return nil }
    let name = "\(isPlain ? "vit" : "beit")_\(size.rawValue)_patch\(patchSize)_\(imageSize)"
    return Self.timmNames.contains(name) ? name : nil
  }

  /// Those of timm 1.0.31 in these sizes.
  private static let timmNames: Set = [
    "vit_tiny_patch16_224", "vit_tiny_patch16_384", "vit_small_patch8_224", "vit_small_patch16_224",
    "vit_small_patch16_384", "vit_small_patch32_224", "vit_small_patch32_384", "vit_base_patch8_224",
    "vit_base_patch16_224", "vit_base_patch16_384", "vit_base_patch32_224", "vit_base_patch32_384",
    "vit_large_patch14_224", "vit_large_patch16_224", "vit_large_patch16_384", "vit_large_patch32_224",
    "vit_large_patch32_384", "vit_huge_patch14_224", "beit_base_patch16_224", "beit_base_patch16_384",
    "beit_large_patch16_224", "beit_large_patch16_384", "beit_large_patch16_512",
  ]
}

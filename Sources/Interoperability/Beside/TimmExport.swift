import Configuration
import Foundation
import Imaging
import Layers
import Models

/// What is written beside weights for timm.
enum TimmExport {
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
    return TimmArchitectures.all[name] == nil ? nil : name
  }
}

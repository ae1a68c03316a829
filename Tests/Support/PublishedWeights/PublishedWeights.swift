import Foundation
import Interoperability

/// A small transformer in a file as others publish theirs, of `make_transfer_fixtures.py`.
public struct PublishedWeights: CustomStringConvertible, Sendable {
  /// Also the name of the file, or of its folder.
  public let name: String
  public let layout: WeightLayout

  public init(name: String, layout: WeightLayout) { (self.name, self.layout) = (name, layout) }

  /// Where the weights lie.
  public var path: String {
    let file = layout == .huggingface ? "\(name)/model.safetensors" : "\(name).safetensors"
    return URL(fileURLWithPath: #filePath).deletingLastPathComponent()
      .appendingPathComponent("../../InteroperabilityTests/Fixtures/transfer/\(file)").standardized.path
  }

  public var description: String { name }

  /// All there are.
  public static let all = [
    PublishedWeights(name: "huggingface_masked", layout: .huggingface),
    PublishedWeights(name: "huggingface_mean", layout: .huggingface),
    PublishedWeights(name: "huggingface_class_token", layout: .huggingface),
    PublishedWeights(name: "timm_beit", layout: .timm), PublishedWeights(name: "timm_vit", layout: .timm),
    PublishedWeights(name: "beit", layout: .beit),
    PublishedWeights(name: "huggingface_backbone", layout: .huggingface),
    PublishedWeights(name: "timm_backbone", layout: .timm),
  ]
}

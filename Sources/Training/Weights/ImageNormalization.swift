import Foundation
import Layers

/// What the channels of images are normalized by, on a scale of 0 to 1.
public struct ImageNormalization: Codable, Equatable, Sendable {
  public var mean: [Double]
  public var standardDeviation: [Double]

  /// ImageNet's, for what says nothing else.
  public static let imageNet = ImageNormalization(
    mean: [0.485, 0.456, 0.406], standardDeviation: [0.229, 0.224, 0.225])

  public init(mean: [Double], standardDeviation: [Double]) {
    self.mean = mean
    self.standardDeviation = standardDeviation
  }

  /// What lies beside published weights says it: Hugging Face's `preprocessor_config.json`, otherwise timm's
  /// `config.json`; nil where neither does.
  ///
  /// - Throws: `RunError` where it is said in another form.
  init?(beside path: String) throws {
    let preprocessor = SidecarFile.preprocessor.read(beside: path) ?? [:]
    // Pixels stay as they are.
    if preprocessor["do_normalize"] as? Bool == false {
      self.init(mean: [0, 0, 0], standardDeviation: [1, 1, 1])
      return
    }
    let found: (file: SidecarFile, mean: Any, deviation: Any?)
    if let mean = preprocessor["image_mean"] {
      found = (.preprocessor, mean, preprocessor["image_std"])
    } else if let trained = TimmConfiguration(beside: path)?.trained, let mean = trained["mean"] {
      found = (.model, mean, trained["std"])
    } else {
      return nil
    }
    guard let mean = Self.channels(found.mean), let deviation = Self.channels(found.deviation),
      deviation.allSatisfy({ $0 > 0 })
    else {
      throw RunError(
        "\(found.file.path(beside: path)) does not give mean and deviation of images as three numbers each")
    }
    self.init(mean: mean, standardDeviation: deviation)
  }

  /// Both in words.
  var summary: String { "images normalized by \(mean) and \(standardDeviation)" }

  /// The same for images in [−1, 1].
  var affine: ChannelAffine {
    .normalization(mean: mean.map { Float($0) }, deviation: standardDeviation.map { Float($0) })
  }

  /// A number for each channel; one alone is for all.
  private static func channels(_ value: Any?) -> [Double]? {
    if let number = value as? NSNumber { return Array(repeating: number.doubleValue, count: 3) }
    let numbers = (value as? [NSNumber])?.map(\.doubleValue)
    return numbers?.count == 3 ? numbers : nil
  }
}

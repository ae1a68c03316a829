import Configuration
import Foundation
import Operations
import Terminal

extension ImageNormalization {
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

  /// A number for each channel; one alone is for all.
  private static func channels(_ value: Any?) -> [Double]? {
    if let number = value as? NSNumber { return Array(repeating: number.doubleValue, count: 3) }
    let numbers = (value as? [NSNumber])?.map(\.doubleValue)
    return numbers?.count == 3 ? numbers : nil
  }
}

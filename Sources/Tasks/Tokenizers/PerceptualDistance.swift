import Communication
import Configuration
import Datasets
import Foundation
import Imaging
import Models
import Tensors
import Terminal
import TokenizerSupport

/// `peco perceptual distance`: how unlike two images are to a perceptual network.
public enum PerceptualDistance {
  /// The distance at each of the network's depths; their sum is the perceptual loss.
  ///
  /// The network sees the central square of each image at `data.image_size`, as in the evaluation of a tokenizer.
  ///
  /// - Parameters:
  ///   - configuration: Of a tokenizer, for `perceptual.*` and `data.image_size`; nil for the defaults.
  ///   - overrides: Keys that win over it, `key.path=value` each.
  ///   - first: Path of an image.
  ///   - second: Path of another image.
  public static func run(
    configuration: String?, overrides: [String], first: String, second: String
  ) throws -> [Double] {
    let settings = try settings(configuration, overrides: overrides)
    guard
      let network = try PerceptualNetworks.make(
        settings, communicator: Communicator(), logger: ConsoleLog.logger(rank: 0)
      )?.network
    else {
      throw RunError("there is no perceptual network; give perceptual.network, and perceptual.weights")
    }
    let side = settings.shared.data.imageSize
    return perceptualDistances(network, try image(first, side: side), try image(second, side: side))
      .map { Double($0.item) }
  }

  private static func settings(
    _ configuration: String?, overrides: [String]
  ) throws -> TokenizerSettings {
    if let configuration {
      let reader = try ConfigurationReader(file: configuration, overrides: overrides)
      let settings = TokenizerConfiguration(reader).settings
      settings.requireEffectOnPerceptualNetwork(reader)
      try reader.finish()
      return settings
    }
    let reader = try ConfigurationReader(overrides: overrides)
    let settings = TokenizerSettings(perceptualNetwork: reader)
    try reader.finish()
    return settings
  }

  /// The central square of an image, [1, side, side, 3] in [−1, 1].
  private static func image(_ path: String, side: Int) throws -> Tensor {
    guard let bytes = FileManager.default.contents(atPath: path) else {
      throw RunError("\(path) cannot be read")
    }
    let result = Tensor(uninitialized: [1, side, side, 3])
    do {
      try bytes.withUnsafeBytes { bytes in
        let info = try ImageInfo(bytes)
        let middle = CropRule.center()
          .region(width: info.width, height: info.height, seed: 0, epoch: 0, index: 0)
        try result.withUnsafeMutableElements { pixels in
          guard let base = pixels.baseAddress else { return }
          try CropDecoder().decode(bytes, crop: middle, width: side, height: side, into: base)
          for index in pixels.indices { pixels[index] = pixels[index] / 127.5 - 1 }
        }
      }
    } catch let error as ImagingError {
      throw RunError("\(path): \(error)")
    }
    return result
  }
}

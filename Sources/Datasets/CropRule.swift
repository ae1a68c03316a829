import Foundation
import Imaging
import Tensors

/// How the crop of an image is chosen.
public enum CropRule: Sendable, Equatable {
  /// A random part: its area a uniform share of the image's, width / height log-uniform
  /// (torchvision's `RandomResizedCrop`).
  case randomResized(scale: ClosedRange<Double> = 0.08...1, ratio: ClosedRange<Double> = 3 / 4...4 / 3)
  /// The central square whose side is this share of the image's short side.
  case center(fraction: Double = 1)

  /// The usual evaluation crop: short side resized to `resizeShortSide`, then the central `size`².
  public static func center(resizeShortSide: Int, size: Int) -> CropRule {
    .center(fraction: min(1, Double(size) / Double(max(resizeShortSide, 1))))
  }

  /// Throws, naming the settings, where the rule cannot be followed.
  public func validate() throws {
    switch self {
    case .randomResized(let scale, let ratio):
      guard scale.lowerBound > 0, scale.upperBound <= 1 else {
        throw DatasetError(
          .cropScale, "is \(scale.lowerBound) to \(scale.upperBound), must lie in (0, 1]")
      }
      guard ratio.lowerBound > 0, ratio.upperBound.isFinite else {
        throw DatasetError(
          "crop ratio", "is \(ratio.lowerBound) to \(ratio.upperBound), must be positive")
      }
    case .center(let fraction):
      guard fraction > 0, fraction <= 1 else {
        throw DatasetError("crop fraction", "is \(fraction), must lie in (0, 1]")
      }
    }
  }

  /// The crop of an image of `width` × `height`, drawn for a sample in an epoch; in pixels of the image.
  ///
  /// - Parameters:
  ///   - width: The image's width, in pixels.
  ///   - height: The image's height, in pixels.
  ///   - seed: The seed of the run.
  ///   - epoch: The epoch, from 0.
  ///   - index: The sample's index in the dataset.
  ///   - view: Which of several views of the sample, from 0.
  public func region(
    width: Int, height: Int, seed: UInt64, epoch: Int, index: Int, view: Int = 0
  ) -> Region {
    switch self {
    case .center(let fraction):
      let side = max(1, Int((fraction * Double(min(width, height))).rounded()))
      return Region(x: (width - side) / 2, y: (height - side) / 2, width: side, height: side)
    case .randomResized(let scale, let ratio):
      var stream = RandomStream(seed: seed, purpose: .crop, time: epoch, index: index, view: view)
      return Self.randomResized(width: width, height: height, scale: scale, ratio: ratio, &stream)
    }
  }

  private static func randomResized(
    width: Int, height: Int, scale: ClosedRange<Double>, ratio: ClosedRange<Double>,
    _ stream: inout RandomStream
  ) -> Region {
    func uniform(_ low: Double, _ high: Double) -> Double { low + (high - low) * Double(stream.uniform()) }
    func rounded(_ value: Double) -> Int { Int(value.rounded(.toNearestOrEven)) }
    for _ in 0..<10 {
      let area = Double(width * height) * uniform(scale.lowerBound, scale.upperBound)
      let aspect = exp(uniform(log(ratio.lowerBound), log(ratio.upperBound)))
      let cropWidth = rounded((area * aspect).squareRoot())
      let cropHeight = rounded((area / aspect).squareRoot())
      guard cropWidth > 0, cropWidth <= width, cropHeight > 0, cropHeight <= height else { continue }
      let y = stream.integer(below: height - cropHeight + 1)
      let x = stream.integer(below: width - cropWidth + 1)
      return Region(x: x, y: y, width: cropWidth, height: cropHeight)
    }
    // No draw fitted (a very long image): the center, as near to the image's own shape as the ratios allow.
    let shape = Double(width) / Double(height)
    let cropWidth = shape > ratio.upperBound ? rounded(Double(height) * ratio.upperBound) : width
    let cropHeight = shape < ratio.lowerBound ? rounded(Double(width) / ratio.lowerBound) : height
    let (w, h) = (min(max(cropWidth, 1), width), min(max(cropHeight, 1), height))
    return Region(x: (width - w) / 2, y: (height - h) / 2, width: w, height: h)
  }
}

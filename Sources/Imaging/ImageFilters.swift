import CKernels
import Foundation

/// Changes of a whole image besides its colors, as self-supervised training augments it.
public enum ImageFilters {
  /// Blurs `height × width` pixels of interleaved RGB, in place, with a Gaussian of `sigma` pixels, as torchvision's
  /// `gaussian_blur`: cut at three deviations, the image mirrored at its edges.
  public static func gaussianBlur(
    _ pixels: UnsafeMutablePointer<Float>, width: Int, height: Int, sigma: Float
  ) {
    guard sigma > 0, width > 0, height > 0 else { return }
    let weights = gaussian(sigma)
    let (taps, radius, row) = (weights.count, weights.count / 2, width * 3)
    let columns = (-radius..<width + radius).map { mirrored($0, in: width) }
    var padded = [Float](repeating: 0, count: (width + 2 * radius) * 3)
    var blurredRows = [Float](repeating: 0, count: height * row)
    blurredRows.withUnsafeMutableBufferPointer { blurred in
      guard let blurred = blurred.baseAddress else { return }
      for y in 0..<height {
        let source = pixels + y * row
        for (place, column) in columns.enumerated() {
          for channel in 0..<3 { padded[3 * place + channel] = source[3 * column + channel] }
        }
        peco_blur_row(blurred + y * row, padded, weights, Int32(taps), row)
      }
      for y in 0..<height {
        let rows = (0..<taps).map {
          UnsafePointer<Float>?(blurred + mirrored(y + $0 - radius, in: height) * row)
        }
        peco_blur_column(pixels + y * row, rows, weights, Int32(taps), row)
      }
    }
  }

  /// Inverts every value of 128 and more of `count` pixels in [0, 255], in place, as Pillow's `ImageOps.solarize`.
  public static func solarize(_ pixels: UnsafeMutablePointer<Float>, count: Int) {
    peco_image_solarize(pixels, 128, count * 3)
  }

  /// The Gaussian at whole numbers up to three deviations, of sum 1.
  private static func gaussian(_ sigma: Float) -> [Float] {
    let radius = max(1, Int((3 * sigma).rounded(.up)))
    let values = (-radius...radius).map { exp(-Double($0 * $0) / (2 * Double(sigma) * Double(sigma))) }
    let total = values.reduce(0, +)
    return values.map { Float($0 / total) }
  }

  /// The place that stands for one outside of 0..<count: mirrored at the first and the last, which are not repeated.
  private static func mirrored(_ place: Int, in count: Int) -> Int {
    guard count > 1 else { return 0 }
    let period = 2 * (count - 1)
    let within = ((place % period) + period) % period
    return min(within, period - within)
  }
}

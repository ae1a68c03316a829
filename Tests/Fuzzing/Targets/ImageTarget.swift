import Foundation
import Imaging

extension FuzzTarget {
  /// An image of any format, turned as it says, whole and a part of it. The last bytes choose the part.
  static let image = FuzzTarget(name: "image") { input in
    var choices = Choices(UnsafeRawBufferPointer(rebasing: input.suffix(4)))
    let bytes = Array(input)
    let info = try ImageInfo(bytes)
    let orientation = ImageOrientation(exifOf: bytes, format: info.format)
    // Large images take their time whatever is in them.
    guard info.width * info.height <= 1 << 20 else { return }
    let turned = orientation.size(width: info.width, height: info.height)
    let (x, y) = (choices.below(turned.width), choices.below(turned.height))
    let part = Region(
      x: x, y: y, width: 1 + choices.below(turned.width - x), height: 1 + choices.below(turned.height - y))
    var pixels = [Float](repeating: 0, count: 16 * 16 * 3)
    for crop in [nil, part] {
      try bytes.withUnsafeBytes { bytes in
        try pixels.withUnsafeMutableBufferPointer { pixels in
          guard let pixels = pixels.baseAddress else { return }
          for isScaled in [false, true] {
            try decoder.decode(
              bytes, crop: crop, width: 16, height: 16, scaledDecoding: isScaled, orientation: orientation,
              into: pixels)
          }
        }
      }
    }
  }

  private nonisolated(unsafe) static let decoder = CropDecoder()
}

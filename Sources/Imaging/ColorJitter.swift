import CKernels

/// One step of torchvision's `ColorJitter`, with its factor drawn.
///
/// Factors of brightness, contrast and saturation are 0 or more, 1 changes nothing. The hue's is from −½ to ½, in
/// turns of the color circle.
public enum ColorAdjustment: Sendable, Equatable {
  case brightness(Float)
  case contrast(Float)
  case saturation(Float)
  case hue(Float)
}

/// Changes colors as torchvision's `ColorJitter` does: in the order given, clipped after each step.
public enum ColorJitter {
  /// Adjusts `count` pixels of interleaved RGB in [0, 255], in place.
  ///
  /// Contrast blends with the mean luma of all these pixels, so they must be one whole image.
  public static func apply(
    _ adjustments: [ColorAdjustment], to pixels: UnsafeMutablePointer<Float>, count: Int
  ) {
    for adjustment in adjustments {
      switch adjustment {
      case .brightness(let factor):
        peco_image_brightness(pixels, factor, count * 3)
      case .contrast(let factor):
        let mean = Float(peco_image_mean_luma(pixels, count))
        peco_image_scale_and_shift(pixels, factor, mean * (1 - factor), count * 3)
      case .saturation(let factor):
        peco_image_saturation(pixels, factor, count)
      case .hue(let turns):
        shiftHue(pixels, count, by: turns)
      }
    }
  }

  /// Maps `count` pixels of interleaved RGB from [0, 255] to (x / 255 − mean) / deviation, in place.
  public static func normalize(
    _ pixels: UnsafeMutablePointer<Float>, count: Int, mean: SIMD3<Float>, deviation: SIMD3<Float>
  ) {
    let scale = (0..<3).map { 1 / (255 * deviation[$0]) }
    let shift = (0..<3).map { -mean[$0] / deviation[$0] }
    peco_image_normalize(pixels, scale, shift, count)
  }

  /// RGB to HSV, the hue turned, and back; value and saturation stay.
  private static func shiftHue(_ pixels: UnsafeMutablePointer<Float>, _ count: Int, by turns: Float) {
    for index in 0..<count {
      let pixel = pixels + 3 * index
      let (r, g, b) = (pixel[0], pixel[1], pixel[2])
      let value = max(r, g, b)
      let range = value - min(r, g, b)
      guard range > 0 else { continue }
      var sector: Float
      if value == r {
        sector = (g - b) / range
      } else if value == g {
        sector = 2 + (b - r) / range
      } else {
        sector = 4 + (r - g) / range
      }
      sector += turns * 6
      sector -= 6 * (sector / 6).rounded(.down)
      // Each channel is a trapezoid over the color circle.
      func channel(_ offset: Float) -> Float {
        var place = offset + sector
        if place >= 6 { place -= 6 }
        return value - range * max(0, min(place, 4 - place, 1))
      }
      pixel[0] = channel(5)
      pixel[1] = channel(3)
      pixel[2] = channel(1)
    }
  }
}

extension Image {
  /// The image with its colors changed as by torchvision's `ColorJitter`, in the order given.
  public func adjusted(_ adjustments: [ColorAdjustment]) -> Image {
    var values = pixels.map(Float.init)
    return values.withUnsafeMutableBufferPointer { buffer in
      if let base = buffer.baseAddress {
        ColorJitter.apply(adjustments, to: base, count: width * height)
      }
      return Image(width: width, height: height, rounding: UnsafeBufferPointer(buffer))
    }
  }
}

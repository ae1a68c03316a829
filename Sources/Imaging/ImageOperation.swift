import Foundation

/// One of the operations that RandAugment chooses from, with Pillow's arithmetic, as timm defines them.
public enum ImageOperation: Sendable, Equatable {
  /// Stretches each channel from its least and greatest value to 0 and 255.
  case autoContrast
  /// Spreads each channel's values evenly.
  case equalize
  case invert
  /// Turns counterclockwise about the middle, in degrees.
  case rotate(Double)
  /// Keeps this many of the highest bits.
  case posterize(bits: Int)
  /// Inverts values of `threshold` and more.
  case solarize(threshold: Int)
  /// Adds to values below 128.
  case solarizeAdd(Int)
  /// Blends with the gray image; 1 leaves it as it is. So do the following three.
  case color(Float)
  /// Blends with the mean gray.
  case contrast(Float)
  /// Blends with black.
  case brightness(Float)
  /// Blends with a smoothed image.
  case sharpness(Float)
  /// Shifts each row in proportion to its number.
  case shearX(Double)
  case shearY(Double)
  /// Takes pixels from this share of the width to the right.
  case translateX(Double)
  case translateY(Double)
}

extension Image {
  /// The image after an operation.
  ///
  /// - Parameters:
  ///   - operation: What is done.
  ///   - fill: What comes in from beyond the edges. Geometry is bicubic.
  public func applying(_ operation: ImageOperation, fill: (UInt8, UInt8, UInt8) = (128, 128, 128)) -> Image {
    switch operation {
    case .autoContrast: return mappingChannels(Self.stretch)
    case .equalize: return mappingChannels(Self.equalization)
    case .invert: return mappingValues({ 255 - $0 })
    case .posterize(let bits):
      guard bits < 8 else { return self }
      let mask = ~((1 << (8 - max(bits, 0))) - 1)
      return mappingValues({ $0 & mask })
    case .solarize(let threshold): return mappingValues({ $0 < threshold ? $0 : 255 - $0 })
    case .solarizeAdd(let amount): return mappingValues({ $0 < 128 ? min(255, $0 + amount) : $0 })
    case .color(let factor): return blended(from: gray(), factor)
    case .contrast(let factor):
      return blended(from: Image(width: width, height: height, luma: meanLuma), factor)
    case .brightness(let factor): return blended(from: Image(width: width, height: height), factor)
    case .sharpness(let factor): return blended(from: smoothed(), factor)
    case .rotate(let degrees): return rotated(degrees, fill)
    case .shearX(let factor): return transformed((1, factor, 0, 0, 1, 0), fill)
    case .shearY(let factor): return transformed((1, 0, 0, factor, 1, 0), fill)
    case .translateX(let share): return transformed((1, 0, share * Double(width), 0, 1, 0), fill)
    case .translateY(let share): return transformed((1, 0, 0, 0, 1, share * Double(height)), fill)
    }
  }

  // MARK: - Value by value

  /// Every value through the same table.
  private func mappingValues(_ value: (Int) -> Int) -> Image {
    let table = (0..<256).map { UInt8(min(255, max(0, value($0)))) }
    return Image(width: width, height: height, pixels: pixels.map { table[Int($0)] })
  }

  /// Every channel through a table made of how often it has each value.
  private func mappingChannels(_ table: ([Int]) -> [Int]) -> Image {
    var result = self
    for channel in 0..<3 {
      var counts = [Int](repeating: 0, count: 256)
      for i in stride(from: channel, to: pixels.count, by: 3) { counts[Int(pixels[i])] += 1 }
      let values = table(counts).map { UInt8(min(255, max(0, $0))) }
      for i in stride(from: channel, to: pixels.count, by: 3) { result.pixels[i] = values[Int(pixels[i])] }
    }
    return result
  }

  private static func stretch(_ counts: [Int]) -> [Int] {
    let low = counts.firstIndex { $0 > 0 } ?? 0
    let high = counts.lastIndex { $0 > 0 } ?? 0
    guard high > low else { return Array(0..<256) }
    let scale = 255.0 / Double(high - low)
    return (0..<256).map { Int(Double($0) * scale - Double(low) * scale) }
  }

  private static func equalization(_ counts: [Int]) -> [Int] {
    let present = counts.filter { $0 > 0 }
    let step = (counts.reduce(0, +) - (present.last ?? 0)) / 255
    guard present.count > 1, step > 0 else { return Array(0..<256) }
    var sum = step / 2
    return counts.map { count in
      defer { sum += count }
      return sum / step
    }
  }

  // MARK: - Blending

  /// other + factor · (self − other)
  private func blended(from other: Image, _ factor: Float) -> Image {
    var result = self
    for i in pixels.indices {
      let from = Float(other.pixels[i])
      let value = from + factor * (Float(pixels[i]) - from)
      result.pixels[i] = value <= 0 ? 0 : value >= 255 ? 255 : UInt8(value)
    }
    return result
  }

  private static func luma(_ r: UInt8, _ g: UInt8, _ b: UInt8) -> UInt8 {
    let (red, green, blue): (Int, Int, Int) = (Int(r) * 19595, Int(g) * 38470, Int(b) * 7471)
    return UInt8((red + green + blue + 0x8000) >> 16)
  }

  private func gray() -> Image {
    var result = self
    for i in stride(from: 0, to: pixels.count, by: 3) {
      let luma = Self.luma(pixels[i], pixels[i + 1], pixels[i + 2])
      (result.pixels[i], result.pixels[i + 1], result.pixels[i + 2]) = (luma, luma, luma)
    }
    return result
  }

  private var meanLuma: UInt8 {
    let sum = stride(from: 0, to: pixels.count, by: 3).reduce(0) {
      $0 + Int(Self.luma(pixels[$1], pixels[$1 + 1], pixels[$1 + 2]))
    }
    return UInt8(Double(sum) / Double(max(width * height, 1)) + 0.5)
  }

  private init(width: Int, height: Int, luma: UInt8) {
    self.init(width: width, height: height, color: (luma, luma, luma))
  }

  /// Each pixel the mean of its neighborhood in which it counts five times; the edges stay.
  private func smoothed() -> Image {
    var result = self
    guard width > 2, height > 2 else { return self }
    let line = width * 3
    for row in 1..<height - 1 {
      for i in row * line + 3..<(row + 1) * line - 3 {
        var sum = 4 * Int(pixels[i])
        for start in [i - line, i, i + line] {
          sum += Int(pixels[start - 3]) + Int(pixels[start]) + Int(pixels[start + 3])
        }
        result.pixels[i] = UInt8((Float(sum) / 13 + 0.5).rounded(.down))
      }
    }
    return result
  }

  // MARK: - Geometry

  private func rotated(_ degrees: Double, _ fill: (UInt8, UInt8, UInt8)) -> Image {
    let turned = degrees - 360 * (degrees / 360).rounded(.down)
    guard turned != 0 else { return self }
    let angle = -turned * .pi / 180
    func rounded(_ value: Double) -> Double { (value * 1e15).rounded() / 1e15 }
    let (cosine, sine) = (rounded(cos(angle)), rounded(sin(angle)))
    let (x, y) = (Double(width) / 2, Double(height) / 2)
    return transformed(
      (
        cosine, sine, cosine * -x + sine * -y + x, -sine, cosine, -sine * -x + cosine * -y + y
      ), fill)
  }

  /// The image whose pixel (x, y) is found at (a x + b y + c, d x + e y + f), by bicubic interpolation.
  private func transformed(
    _ m: (Double, Double, Double, Double, Double, Double), _ fill: (UInt8, UInt8, UInt8)
  ) -> Image {
    var result = Image(width: width, height: height, color: fill)
    let (width, height) = (width, height)
    pixels.withUnsafeBufferPointer { source in
      result.pixels.withUnsafeMutableBufferPointer { target in
        for row in 0..<height {
          for column in 0..<width {
            let (x, y) = (Double(column) + 0.5, Double(row) + 0.5)
            let (atX, atY) = (m.0 * x + m.1 * y + m.2, m.3 * x + m.4 * y + m.5)
            guard atX >= 0, atX < Double(width), atY >= 0, atY < Double(height) else { continue }
            let (left, top) = ((atX - 0.5).rounded(.down), (atY - 0.5).rounded(.down))
            let (dx, dy) = (atX - 0.5 - left, atY - 0.5 - top)
            func columnOffset(_ i: Int) -> Int { min(max(Int(left) + i, 0), width - 1) * 3 }
            let columns = (columnOffset(-1), columnOffset(0), columnOffset(1), columnOffset(2))
            func value(_ i: Int, _ channel: Int) -> Double {
              let line = min(max(Int(top) + i, 0), height - 1) * width * 3 + channel
              return Self.cubic(
                Double(source[line + columns.0]), Double(source[line + columns.1]),
                Double(source[line + columns.2]), Double(source[line + columns.3]), dx)
            }
            for channel in 0..<3 {
              let found = Self.cubic(
                value(-1, channel), value(0, channel), value(1, channel), value(2, channel), dy)
              target[(row * width + column) * 3 + channel] =
                found <= 0 ? 0 : found >= 255 ? 255 : UInt8(found)
            }
          }
        }
      }
    }
    return result
  }

  @inline(__always)
  private static func cubic(_ a: Double, _ b: Double, _ c: Double, _ d: Double, _ t: Double) -> Double {
    let (p2, p3, p4) = (c - a, 2 * (a - b) + c - d, b - a - c + d)
    return b + t * (p2 + t * (p3 + t * p4))
  }
}

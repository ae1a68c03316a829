import Foundation
import Imaging
import Tensors

/// RandAugment (Cubuk et al., 1909.13719) as in timm: a few operations chosen at random, each applied to half of the
/// images, with strengths that vary around one magnitude.
///
/// Written as timm writes it: `rand-m9-mstd0.5-inc1` is magnitude 9 of 10, deviation 0.5, and operations whose strength
/// rises with the magnitude.
public struct RandAugment: Sendable, Equatable {
  /// How strong, from 0 to 10.
  public var magnitude = 9.0
  /// Deviation of the magnitude from operation to operation; infinite where it is anything from 0 to `magnitude`.
  public var deviation = 0.5
  /// Operations an image.
  public var layers = 2
  /// Whether every operation grows stronger with the magnitude; otherwise posterize, solarize and the four of color
  /// have the ranges of the first implementation.
  public var isIncreasing = true

  /// What a text must be like, for messages.
  public static let expectedText = "a policy like rand-m9-mstd0.5-inc1 (m: magnitude 0 to 10, n: operations)"

  /// Reads timm's writing; nil where it is not that, or asks for something unknown.
  public init?(_ text: String) {
    var parts = text.split(separator: "-").map(String.init)
    guard !parts.isEmpty, parts.removeFirst() == "rand" else { return nil }
    (magnitude, deviation, layers, isIncreasing) = (10, 0, 2, false)
    for part in parts {
      let key = part.prefix { $0.isLetter }
      guard let value = Double(part.dropFirst(key.count)), value.isFinite, value >= 0 else { return nil }
      switch key {
      case "m" where value <= 10: magnitude = value
      case "mstd": deviation = value > 100 ? .infinity : value
      case "n" where value >= 1 && value <= 20 && value == value.rounded(): layers = Int(value)
      case "inc": isIncreasing = value != 0
      default: return nil
      }
    }
  }

  /// The kinds of operation, in timm's order.
  public enum Kind: String, Sendable, CaseIterable {
    case autoContrast, equalize, invert, rotate, posterize, solarize, solarizeAdd, color, contrast,
      brightness,
      sharpness, shearX, shearY, translateX, translateY
  }

  /// The operations of one view.
  public func draw(_ stream: RandomStream) -> [ImageOperation] {
    var stream = stream
    return (0..<layers).compactMap { _ in
      let kind = Kind.allCases[stream.integer(below: Kind.allCases.count)]
      let isApplied = stream.uniform() < 0.5
      let strength =
        deviation.isFinite
        ? magnitude + deviation * Double(stream.normal()) : magnitude * Double(stream.uniform())
      let isNegative = stream.uniform() < 0.5
      guard isApplied else { return nil }
      return operation(kind, level: min(max(strength, 0), 10) / 10, isNegative: isNegative)
    }
  }

  /// An operation of a strength from 0 to 1.
  public func operation(_ kind: Kind, level: Double, isNegative: Bool) -> ImageOperation {
    let sign = isNegative ? -1.0 : 1
    // 1 leaves the image as it is.
    let factor = Float(isIncreasing ? max(0.1, 1 + sign * 0.9 * level) : 0.1 + 1.8 * level)
    switch kind {
    case .autoContrast: return .autoContrast
    case .equalize: return .equalize
    case .invert: return .invert
    case .rotate: return .rotate(sign * 30 * level)
    case .posterize: return .posterize(bits: isIncreasing ? 4 - Int(level * 4) : Int(level * 4))
    case .solarize:
      let threshold = min(256, Int(level * 256))
      return .solarize(threshold: isIncreasing ? 256 - threshold : threshold)
    case .solarizeAdd: return .solarizeAdd(min(128, Int(level * 110)))
    case .color: return .color(factor)
    case .contrast: return .contrast(factor)
    case .brightness: return .brightness(factor)
    case .sharpness: return .sharpness(factor)
    case .shearX: return .shearX(sign * 0.3 * level)
    case .shearY: return .shearY(sign * 0.3 * level)
    case .translateX: return .translateX(sign * 0.45 * level)
    case .translateY: return .translateY(sign * 0.45 * level)
    }
  }

  /// Applies operations to `side`² pixels of interleaved RGB in [0, 255], in place. What comes in from beyond the edges
  /// has the color `fill`, from 0 to 1.
  static func apply(
    _ operations: [ImageOperation], to pixels: UnsafeMutablePointer<Float>, side: Int, fill: [Float]
  ) {
    guard !operations.isEmpty else { return }
    let color = fill.map { UInt8(min(255, max(0, ($0 * 255).rounded()))) }
    let count = side * side * 3
    var image = Image(width: side, height: side, rounding: UnsafeBufferPointer(start: pixels, count: count))
    for operation in operations { image = image.applying(operation, fill: (color[0], color[1], color[2])) }
    for i in 0..<count { pixels[i] = Float(image.pixels[i]) }
  }
}

/// Random erasing (Zhong et al., 1708.04896) in timm's mode `pixel`: a rectangle of the normalized view becomes
/// standard normal noise.
public struct RandomErasing: Sendable, Equatable {
  /// How often.
  public var probability: Float
  /// Least and most part of the area.
  public var area = 0.02...(1.0 / 3)
  /// Least and most ratio of height to width.
  public var aspect = 0.3...(1 / 0.3)

  public init(probability: Float = 0.25) { self.probability = probability }

  func validate() throws {
    guard (0...1).contains(probability) else {
      throw DatasetError(.erasing, "is \(probability), must be 0 to 1")
    }
  }

  /// What is erased of one view, whatever its size; and the stream that the noise comes from.
  struct Draw {
    let area: ClosedRange<Double>
    let aspect: ClosedRange<Double>
    let stream: RandomStream

    /// Erases in `side`² pixels of interleaved RGB, in place.
    func apply(to pixels: UnsafeMutablePointer<Float>, side: Int) {
      var stream = stream
      func uniform(_ range: ClosedRange<Double>) -> Double {
        range.lowerBound + (range.upperBound - range.lowerBound) * Double(stream.uniform())
      }
      for _ in 0..<10 {
        let target = uniform(area) * Double(side * side)
        let ratio = exp(uniform(log(aspect.lowerBound)...log(aspect.upperBound)))
        let height = Int((target * ratio).squareRoot().rounded())
        let width = Int((target / ratio).squareRoot().rounded())
        guard width < side, height < side else { continue }
        let top = stream.integer(below: side - height + 1)
        let left = stream.integer(below: side - width + 1)
        for row in top..<top + height {
          for i in (row * side + left) * 3..<(row * side + left + width) * 3 { pixels[i] = stream.normal() }
        }
        return
      }
    }
  }

  func draw(_ stream: RandomStream) -> Draw? {
    var stream = stream
    guard stream.uniform() < probability else { return nil }
    return Draw(area: area, aspect: aspect, stream: stream)
  }
}

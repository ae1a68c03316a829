import Foundation
import Tensors

/// Draws the images of the synthetic dataset: one textured shape of ten kinds on a textured ground, in random
/// colors, size, place and rotation.
///
/// An image is a pure function of the seed and its index; its class is the index modulo ten.
public struct SyntheticImage: Sendable {
  /// The names of the classes, in the order of labels (sorted, as `prepare` sorts folders).
  public static let classes = Shape.allCases.map(\.rawValue)

  /// Pixels from edge to edge.
  public let size: Int
  private let seed: UInt64

  public init(size: Int, seed: UInt64) {
    self.size = size
    self.seed = seed
  }

  /// The label of an image.
  public static func label(_ index: Int) -> Int { index % classes.count }

  enum Shape: String, CaseIterable {
    case blob, checker, cross, disc, dots, ring, square, star, stripes, triangle
  }

  /// The pixels of an image: size × size × 3, red, green, blue.
  public func draw(_ index: Int) -> [UInt8] {
    var stream = RandomStream(seed: seed, purpose: .synthesis, index: index)
    let shape = Shape.allCases[Self.label(index)]
    let ground = Surface(&stream)
    var figure = Surface(&stream)
    // A figure of its ground's lightness would only be seen by its texture.
    while abs(figure.lightness - ground.lightness) < 0.3 { figure = Surface(&stream) }

    let radius = stream.uniform(0.22, 0.42)
    let centerX = stream.uniform(radius * 0.9, 1 - radius * 0.9)
    let centerY = stream.uniform(radius * 0.9, 1 - radius * 0.9)
    let angle = stream.uniform(0, 2 * .pi)
    let (sine, cosine) = (sin(angle) / radius, cos(angle) / radius)
    let pixelsPerUnit = Float(size) * radius
    let outline = Outline(shape, &stream)
    let noise = stream.uniform(0, 0.05)

    return [UInt8](unsafeUninitializedCapacity: size * size * 3) { pixels, count in
      var at = 0
      for row in 0..<size {
        let y = (Float(row) + 0.5) / Float(size)
        for column in 0..<size {
          let x = (Float(column) + 0.5) / Float(size)
          let (dx, dy) = (x - centerX, y - centerY)
          let distance = outline.distance(dx * cosine + dy * sine, dy * cosine - dx * sine)
          // One pixel of transition at the edge.
          let coverage = min(max(0.5 - distance * pixelsPerUnit, 0), 1)
          var color = SIMD3<Float>()
          if coverage < 1 { color += ground.color(x, y) * (1 - coverage) }
          if coverage > 0 { color += figure.color(x, y) * coverage }
          color += (stream.uniform() - 0.5) * noise
          let bytes = (color * 255 + 0.5).clamped(
            lowerBound: SIMD3(repeating: 0), upperBound: SIMD3(repeating: 255))
          pixels[at] = UInt8(bytes.x)
          pixels[at + 1] = UInt8(bytes.y)
          pixels[at + 2] = UInt8(bytes.z)
          at += 3
        }
      }
      count = at
    }
  }
}

/// Two colors that mix along a gradient and a noise of a few octaves.
private struct Surface {
  private let first: SIMD3<Float>
  private let second: SIMD3<Float>
  private let slope: SIMD2<Float>
  private let roughness: Float
  private let frequency: Float
  private let lattice: [Float]
  private static let side = 16

  init(_ stream: inout RandomStream) {
    func color() -> SIMD3<Float> { SIMD3(stream.uniform(), stream.uniform(), stream.uniform()) }
    let base = color()
    first = base
    second = base + (color() - base) * 0.4
    let angle = stream.uniform(0, 2 * .pi)
    slope = SIMD2(cos(angle), sin(angle)) * stream.uniform(0.2, 0.8)
    roughness = stream.uniform(0.1, 0.7)
    frequency = stream.uniform(3, 12)
    lattice = (0..<Self.side * Self.side).map { _ in stream.uniform(-1, 1) }
  }

  var lightness: Float { ((first + second) * SIMD3(0.299, 0.587, 0.114)).sum() / 2 }

  func color(_ x: Float, _ y: Float) -> SIMD3<Float> {
    let grain = noise(x * frequency, y * frequency) + 0.5 * noise(y * frequency * 2.3, x * frequency * 2.3)
    let mix = 0.5 + (x - 0.5) * slope.x + (y - 0.5) * slope.y + roughness * grain
    return first + (second - first) * min(max(mix, 0), 1) + roughness * 0.15 * grain
  }

  /// Smoothly interpolated values of the lattice, repeating.
  private func noise(_ x: Float, _ y: Float) -> Float {
    let (column, row) = (x.rounded(.down), y.rounded(.down))
    let (u, v) = (smooth(x - column), smooth(y - row))
    let side = Self.side
    let (left, top) = (Int(column) & (side - 1), Int(row) & (side - 1))
    let (right, bottom) = ((left + 1) & (side - 1), (top + 1) & (side - 1))
    return lattice.withUnsafeBufferPointer { lattice in
      let upper = lattice[top * side + left] * (1 - u) + lattice[top * side + right] * u
      let lower = lattice[bottom * side + left] * (1 - u) + lattice[bottom * side + right] * u
      return upper * (1 - v) + lower * v
    }
  }

  private func smooth(_ t: Float) -> Float { t * t * (3 - 2 * t) }
}

/// A shape of about radius one around the origin, as a signed distance: negative inside.
private struct Outline {
  private let shape: SyntheticImage.Shape
  /// What varies within the class: periods, widths, phases.
  private let variation: SIMD4<Float>

  init(_ shape: SyntheticImage.Shape, _ stream: inout RandomStream) {
    self.shape = shape
    variation = SIMD4(stream.uniform(), stream.uniform(), stream.uniform(), stream.uniform())
  }

  func distance(_ u: Float, _ v: Float) -> Float {
    switch shape {
    case .disc: length(u, v) - 0.9
    case .ring: abs(length(u, v) - 0.75) - (0.12 + 0.1 * variation.x)
    case .square: box(u, v, 0.75, 0.75)
    case .triangle: triangle(u, v)
    case .star: star(u, v)
    case .cross: min(box(u, v, 0.95, 0.2 + 0.12 * variation.x), box(u, v, 0.2 + 0.12 * variation.x, 0.95))
    case .stripes: max(length(u, v) - 1, wave(u) - 0.25 * period)
    case .checker: max(box(u, v, 0.85, 0.85), checker(u, v))
    case .dots: max(length(u, v) - 1, length(wave(u), wave(v)) - 0.32 * period)
    case .blob: blob(u, v)
    }
  }

  private func length(_ u: Float, _ v: Float) -> Float { (u * u + v * v).squareRoot() }

  private func box(_ u: Float, _ v: Float, _ halfWidth: Float, _ halfHeight: Float) -> Float {
    max(abs(u) - halfWidth, abs(v) - halfHeight)
  }

  /// The period of stripes, checks and dots.
  private var period: Float { 0.4 + 0.25 * variation.y }

  /// Distance to the nearest multiple of the period, moved by a phase.
  private func wave(_ t: Float) -> Float {
    let cycles = t / period + variation.z
    return abs(cycles - cycles.rounded()) * period
  }

  private func checker(_ u: Float, _ v: Float) -> Float {
    let (a, b) = (wave(u) - 0.25 * period, wave(v) - 0.25 * period)
    // Inside where exactly one of the two is.
    return max(min(a, b), -max(a, b))
  }

  private func triangle(_ u: Float, _ v: Float) -> Float {
    let half = Float(3).squareRoot() / 2
    return max(v, max(half * u - 0.5 * v, -half * u - 0.5 * v)) - 0.55
  }

  private func star(_ u: Float, _ v: Float) -> Float {
    let sector = 2 * Float.pi / 5
    var angle = atan2(v, u)
    angle = abs(angle - (angle / sector).rounded() * sector)
    // The edge from the tip, at radius 1, to the notch half a sector on.
    let notch = 0.38 + 0.12 * variation.x
    let (notchX, notchY) = (notch * cos(sector / 2), notch * sin(sector / 2))
    let radius = length(u, v)
    let (x, y) = (radius * cos(angle), radius * sin(angle))
    let (edgeX, edgeY) = (notchX - 1, notchY)
    return ((x - 1) * edgeY - y * edgeX) / length(edgeX, edgeY)
  }

  private func blob(_ u: Float, _ v: Float) -> Float {
    let angle = atan2(v, u)
    let lobes = 0.2 * sin(3 * angle + 6 * variation.x) + 0.12 * sin(5 * angle + 6 * variation.y)
    return (length(u, v) - 0.75 - lobes * (0.6 + 0.4 * variation.z)) * 0.8
  }
}

import CKernels

/// How a pixel of the target is weighed from those of the source; Pillow's filters of the same names.
///
/// When an image shrinks, the filter widens with it (antialiasing).
public enum ResampleFilter: String, Sendable, CaseIterable, Codable {
  case box, bilinear, bicubic, lanczos

  fileprivate var kernel: Int32 {
    switch self {
    case .box: Int32(PECO_FILTER_BOX)
    case .bilinear: Int32(PECO_FILTER_BILINEAR)
    case .bicubic: Int32(PECO_FILTER_BICUBIC)
    case .lanczos: Int32(PECO_FILTER_LANCZOS)
    }
  }
}

/// Resizes images; owns the work memory, so that a thread's second image allocates nothing.
///
/// Gives the values of Pillow's `Image.resize(size, filter, box)`, with the same arithmetic. Pixels outside the
/// box but within the filter's reach count, as in Pillow; crop first where they must not.
public final class Resampler {
  private var horizontal = Taps()
  private var vertical = Taps()
  private var rows = WorkMemory()
  private var scratch = WorkMemory()

  public init() {}

  /// Resizes an image, or a box of it, into another buffer.
  public func resample(
    _ source: PixelBuffer, box: Box? = nil, width: Int, height: Int, filter: ResampleFilter = .bicubic,
    flipped: Bool = false, into target: PixelBuffer
  ) throws {
    precondition(source !== target, "the source is still read while the target is written")
    let first = try resampleRows(source, box, width, height, filter, flipped)
    target.resize(width: width, height: height)
    peco_resample_columns(
      rows.bytes, width * 3, Int32(first), target.pixels, target.bytesPerRow, Int32(height), vertical.count,
      vertical.bounds, vertical.weights)
  }

  /// Resizes an image, or a box of it, to floats in [0, 255]: `height × width × 3`, not rounded.
  ///
  /// - Parameters:
  ///   - source: the image.
  ///   - box: what of it is wanted; nil for all.
  ///   - width: of the result.
  ///   - height: of the result.
  ///   - filter: what pixels are resampled with.
  ///   - flipped: mirrors the result left to right.
  ///   - target: memory for the result.
  public func resample(
    _ source: PixelBuffer, box: Box? = nil, width: Int, height: Int, filter: ResampleFilter = .bicubic,
    flipped: Bool = false, into target: UnsafeMutablePointer<Float>
  ) throws {
    let first = try resampleRows(source, box, width, height, filter, flipped)
    peco_resample_columns_float(
      rows.bytes, width * 3, Int32(first), target, Int32(height), vertical.count, vertical.bounds,
      vertical.weights)
  }

  /// Fills `rows` with the source rows that the columns need, at their final width; returns the first's number.
  private func resampleRows(
    _ source: PixelBuffer, _ box: Box?, _ width: Int, _ height: Int, _ filter: ResampleFilter, _ flipped: Bool
  ) throws -> Int {
    let box = box ?? Box(x: 0, y: 0, width: Double(source.width), height: Double(source.height))
    guard width > 0, height > 0, width <= ImageInfo.maximumPixels / height else {
      throw ImagingError(problem: "will not resize to \(width)×\(height) pixels")
    }
    // Written so that a NaN fails too. The slack is for boxes computed in floating point.
    guard box.x >= 0, box.y >= 0, box.width > 0, box.height > 0,
      box.x + box.width <= Double(source.width) + 1e-6, box.y + box.height <= Double(source.height) + 1e-6
    else {
      throw ImagingError(problem: "the box \(box) is outside the \(source.width)×\(source.height) image")
    }
    horizontal.prepare(filter, in: source.width, from: box.x, extent: box.width, out: width)
    vertical.prepare(filter, in: source.height, from: box.y, extent: box.height, out: height)
    let first = Int(vertical.bounds[0])
    let last = Int(vertical.bounds[2 * height - 2] + vertical.bounds[2 * height - 1])
    rows.reserve(max(1, last - first) * width * 3)
    scratch.reserve(peco_resample_rows_scratch(Int32(source.width), Int32(width), horizontal.count))
    peco_resample_rows(
      source.pixels + first * source.bytesPerRow, source.bytesPerRow, Int32(last - first),
      Int32(source.width), rows.bytes, Int32(width), horizontal.count, horizontal.bounds,
      horizontal.weights, flipped ? 1 : 0, scratch.base)
    return first
  }
}

/// The weights along one axis, remembered while the geometry stays the same.
private struct Taps {
  private(set) var count: Int32 = 0
  private(set) var bounds: [Int32] = []
  private(set) var weights: [Int32] = []
  private var key: Key?

  private struct Key: Equatable {
    let filter: ResampleFilter
    let size: Int
    let low: Float
    let high: Float
    let out: Int
  }

  mutating func prepare(
    _ filter: ResampleFilter, in size: Int, from start: Double, extent: Double, out: Int
  ) {
    // Pillow keeps its boxes in single precision; so do we, to the same end.
    let low = Float(start)
    let high = Float(min(start + extent, Double(size)))
    let key = Key(filter: filter, size: size, low: low, high: high, out: out)
    guard key != self.key else { return }
    self.key = key
    count = peco_resample_taps(filter.kernel, Double(high - low), Int32(out))
    grow(&bounds, to: 2 * out)
    grow(&weights, to: Int(count) * out)
    peco_resample_weights(filter.kernel, Int32(size), low, high, Int32(out), count, &bounds, &weights)
  }

  private func grow(_ array: inout [Int32], to count: Int) {
    if array.count < count { array = [Int32](repeating: 0, count: count) }
  }
}

/// Memory that only grows, aligned for vectors.
private final class WorkMemory {
  private(set) var base: UnsafeMutableRawPointer = .allocate(byteCount: 64, alignment: 64)
  private var capacity = 64

  var bytes: UnsafeMutablePointer<UInt8> { base.assumingMemoryBound(to: UInt8.self) }

  func reserve(_ count: Int) {
    guard count > capacity else { return }
    base.deallocate()
    base = .allocate(byteCount: count, alignment: 64)
    capacity = count
  }

  deinit { base.deallocate() }
}

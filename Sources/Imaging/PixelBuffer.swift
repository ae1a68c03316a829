/// Memory for one image of interleaved 8-bit RGB, kept and used again for the next.
///
/// A loader thread has its own and allocates only when an image is larger than all before it.
public final class PixelBuffer {
  public private(set) var width = 0
  public private(set) var height = 0
  /// `height × width × 3` values, rows packed. Valid until the next `resize`.
  public private(set) var pixels: UnsafeMutablePointer<UInt8>
  private var capacity: Int

  public init() {
    capacity = 1 << 16
    pixels = .allocate(capacity: capacity)
  }

  public convenience init(_ image: Image) {
    self.init()
    resize(width: image.width, height: image.height)
    image.pixels.withUnsafeBufferPointer { source in
      if let base = source.baseAddress { pixels.update(from: base, count: source.count) }
    }
  }

  deinit { pixels.deallocate() }

  /// Makes room for an image; what was in the buffer is lost.
  public func resize(width: Int, height: Int) {
    let needed = width * height * 3
    if needed > capacity {
      pixels.deallocate()
      capacity = needed
      pixels = .allocate(capacity: capacity)
    }
    self.width = width
    self.height = height
  }

  /// The size in bytes of a row.
  public var bytesPerRow: Int { width * 3 }

  /// A copy as a value.
  public var image: Image {
    Image(
      width: width, height: height,
      pixels: Array(UnsafeBufferPointer(start: pixels, count: width * height * 3)))
  }
}

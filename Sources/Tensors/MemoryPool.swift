import Foundation

#if canImport(Glibc)
  import Glibc
#endif

/// Hands out blocks of memory and takes them back to hand them out again, so that a training step allocates
/// nothing after the first.
///
/// Blocks come in size classes an eighth of a power of two apart. Large blocks are mapped on their own with
/// huge pages asked for. Safe to use from any thread.
public final class MemoryPool: @unchecked Sendable {
  /// The pool every tensor allocates from.
  public static let shared = MemoryPool()

  /// What the pool holds, in bytes.
  public struct Usage: Sendable {
    /// Handed out and not yet returned.
    public var inUse = 0
    /// The most that was ever handed out at once.
    public var peak = 0
    /// Obtained from the operating system.
    public var reserved = 0
  }

  private let lock = NSLock()
  private var free: [Int: [UnsafeMutableRawPointer]] = [:]
  private var counters = Usage()

  private static let alignment = 64
  private static let hugePage = 2 << 20

  private init() {}

  /// What the pool holds at this moment.
  public var usage: Usage { lock.withLock { counters } }

  /// Makes the present use the new peak, to measure what follows.
  public func resetPeak() { lock.withLock { counters.peak = counters.inUse } }

  /// Gives what is not handed out back to the operating system, when what comes next is of other sizes than what was.
  public func releaseUnused() {
    let unused = lock.withLock {
      defer { free = [:] }
      for (size, blocks) in free { counters.reserved -= size * blocks.count }
      return free.values.flatMap { $0 }
    }
    for block in unused { Foundation.free(block) }
  }

  /// The size of the block that serves a request of `bytes`.
  static func sizeClass(_ bytes: Int) -> Int {
    let least = max(bytes, 512)
    let power = 1 << (Int.bitWidth - 1 - least.leadingZeroBitCount)
    let step = max(power / 8, alignment)
    return (least + step - 1) / step * step
  }

  /// A block of at least `bytes`, aligned to 64 bytes, its content undefined, and its size.
  ///
  /// Where there is none of the right size, a free one up to twice as large serves: what stochastic depth leaves of a
  /// batch is of another size in every step, and would otherwise ask for new memory again and again.
  func allocate(_ bytes: Int) -> (base: UnsafeMutableRawPointer, size: Int) {
    let size = Self.sizeClass(bytes)
    lock.lock()
    var candidate = size
    while candidate <= 2 * size {
      if let block = free[candidate]?.popLast() {
        counters.inUse += candidate
        counters.peak = max(counters.peak, counters.inUse)
        lock.unlock()
        return (block, candidate)
      }
      candidate = Self.sizeClass(candidate + 1)
    }
    counters.inUse += size
    counters.peak = max(counters.peak, counters.inUse)
    counters.reserved += size
    lock.unlock()
    let alignment = size >= Self.hugePage ? Self.hugePage : Self.alignment
    var block: UnsafeMutableRawPointer?
    // Running out of memory is the one failure that no caller can mend: say how much was asked for and end.
    guard posix_memalign(&block, alignment, size) == 0, let block else {
      let reserved = usage.reserved >> 20
      FileHandle.standardError.write(
        Data("peco: out of memory: \(size >> 20) MiB more were needed, \(reserved) MiB in use\n".utf8))
      exit(71)
    }
    #if os(Linux)
      if size >= Self.hugePage { madvise(block, size, Int32(MADV_HUGEPAGE)) }
    #endif
    return (block, size)
  }

  /// Takes back a block that `allocate` handed out.
  func release(_ block: UnsafeMutableRawPointer, size: Int) {
    lock.withLock {
      counters.inUse -= size
      free[size, default: []].append(block)
    }
  }
}

/// A block of the pool, returned to it when the last tensor that uses it goes.
final class PoolBlock {
  let base: UnsafeMutableRawPointer
  private let size: Int

  init(bytes: Int) { (base, size) = MemoryPool.shared.allocate(bytes) }

  deinit { MemoryPool.shared.release(base, size: size) }
}

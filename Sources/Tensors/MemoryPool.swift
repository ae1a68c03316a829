import Foundation

#if canImport(Glibc)
  import Glibc
#endif

/// Hands out blocks of memory and takes them back to hand them out again, so that a training step allocates
/// nothing after the first.
///
/// Blocks come in size classes an eighth of a power of two apart. Large blocks are mapped on their own with
/// huge pages asked for. Safe to use from any thread.
///
/// Unchecked: a lock guards everything that changes.
public final class MemoryPool: @unchecked Sendable {
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

  private let limit: Int

  /// - Parameter limit: The most bytes to take from the system; nil for as many as it gives.
  init(limit: Int? = nil) { self.limit = limit ?? .max }

  deinit { releaseUnused() }

  /// What the pool holds at this moment.
  public var usage: Usage { lock.withLock { counters } }

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

  /// A block of at least `bytes`, aligned to 64 bytes, its content undefined, and its size. Throws where the system
  /// gives no more memory.
  ///
  /// Where there is none of the right size, a free one up to twice as large serves: what stochastic depth leaves of a
  /// batch is of another size in every step, and would otherwise ask for new memory again and again.
  func allocate(_ bytes: Int) throws -> (base: UnsafeMutableRawPointer, size: Int) {
    let size = Self.sizeClass(bytes)
    if let block = reuse(size) { return block }
    // What lies here in other sizes may be what is missing.
    if let block = obtain(size) { return (block, size) }
    releaseUnused()
    if let block = obtain(size) { return (block, size) }
    let held = usage.inUse
    throw ExecutionError(
      "out of memory: \(Self.mebibytes(size)) more were needed beside \(Self.mebibytes(held)) in use; make "
        + "micro-batches smaller, keep less for backward (activation checkpointing), or start fewer ranks on this node"
    )
  }

  private static func mebibytes(_ bytes: Int) -> String { "\((bytes + (1 << 20) - 1) >> 20) MiB" }

  private func reuse(_ size: Int) -> (base: UnsafeMutableRawPointer, size: Int)? {
    lock.withLock {
      var candidate = size
      while candidate <= 2 * size {
        if let block = free[candidate]?.popLast() {
          counters.inUse += candidate
          counters.peak = max(counters.peak, counters.inUse)
          return (block, candidate)
        }
        candidate = Self.sizeClass(candidate + 1)
      }
      return nil
    }
  }

  /// A new block, counted as in use; nil where the system or the limit refuses.
  private func obtain(_ size: Int) -> UnsafeMutableRawPointer? {
    let isWithinLimit = lock.withLock {
      guard counters.reserved <= limit - size else { return false }
      counters.inUse += size
      counters.peak = max(counters.peak, counters.inUse)
      counters.reserved += size
      return true
    }
    guard isWithinLimit else { return nil }
    let alignment = size >= Self.hugePage ? Self.hugePage : Self.alignment
    var block: UnsafeMutableRawPointer?
    guard posix_memalign(&block, alignment, size) == 0, let block else {
      lock.withLock {
        counters.inUse -= size
        counters.reserved -= size
      }
      return nil
    }
    #if os(Linux)
      if size >= Self.hugePage { madvise(block, size, Int32(MADV_HUGEPAGE)) }
    #endif
    return block
  }

  /// Takes back a block that `allocate` handed out.
  func release(_ block: UnsafeMutableRawPointer, size: Int) {
    lock.withLock {
      counters.inUse -= size
      free[size, default: []].append(block)
    }
  }
}

/// A block of a context's memory, returned to it when the last tensor that uses it goes.
final class PoolBlock {
  let base: UnsafeMutableRawPointer
  private let size: Int
  private let pool: MemoryPool

  init(bytes: Int) {
    let context = ExecutionContext.current
    pool = context.memory
    do {
      (base, size) = try pool.allocate(bytes)
    } catch {
      context.fail(error)
    }
  }

  deinit { pool.release(base, size: size) }
}

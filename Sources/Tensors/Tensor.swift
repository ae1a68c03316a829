import CKernels

/// A dense, row-major array of numbers.
///
/// A tensor on a tape (`tape != nil`) takes part in differentiation: operations on it are recorded, and
/// `backward` sends gradients through those that need them. The value itself never changes once an operation
/// has produced it.
public final class Tensor {
  /// Sizes of the axes, outermost first. Empty for a scalar.
  public let shape: [Int]
  /// Number of elements.
  public let count: Int
  /// The number format of the elements.
  public let dtype: DType
  private let base: UnsafeMutableRawPointer
  /// The tape that records what is computed from this tensor, if any.
  public internal(set) var tape: Tape?
  /// Where the gradient with respect to this tensor gathers; nil where nobody needs it.
  var slot: GradientSlot?
  fileprivate var block: PoolBlock

  /// A tensor whose elements are undefined until written.
  public init(uninitialized shape: [Int], dtype: DType = .float32) {
    let count = shape.reduce(1, *)
    precondition(shape.allSatisfy { $0 >= 0 }, "negative size in shape \(shape)")
    self.shape = shape
    self.count = count
    self.dtype = dtype
    block = PoolBlock(bytes: max(count, 1) * dtype.size)
    base = block.base
  }

  private init(viewing whole: Tensor, at offset: Int, shape: [Int]) {
    self.shape = shape
    count = shape.reduce(1, *)
    precondition(offset >= 0 && offset + count <= whole.count, "view outside of its tensor")
    dtype = whole.dtype
    block = whole.block
    base = whole.base + offset * dtype.size
  }

  /// The elements of a float32 tensor, in row-major order: for operations alone, which know the number format and where
  /// memory lies.
  @_spi(TensorMemory) public var pointer: UnsafeMutablePointer<Float> {
    precondition(dtype == .float32, "an operation of float32 on a tensor of \(dtype)")
    return base.assumingMemoryBound(to: Float.self)
  }

  /// The elements of a bfloat16 tensor, in row-major order: the upper halves of float32's bits.
  @_spi(TensorMemory) public var halves: UnsafeMutablePointer<UInt16> {
    precondition(dtype == .bfloat16, "an operation of bfloat16 on a tensor of \(dtype)")
    return base.assumingMemoryBound(to: UInt16.self)
  }

  /// An element, as float32.
  @_spi(TensorMemory) public func element(at index: Int) -> Float {
    switch dtype {
    case .float32: pointer[index]
    case .bfloat16: Float(bitPattern: UInt32(halves[index]) << 16)
    }
  }

  /// The memory whatever the number format, for operations that move elements and do not compute with them.
  @_spi(TensorMemory) public var memory: UnsafeMutableRawPointer { base }

  /// A tensor of the same value everywhere.
  public convenience init(_ shape: [Int], filledWith value: Float = 0, dtype: DType = .float32) {
    self.init(uninitialized: shape, dtype: dtype)
    fill(value)
  }

  /// A tensor of the given elements in row-major order.
  public convenience init(_ elements: [Float], shape: [Int]) {
    self.init(uninitialized: shape)
    copyElements(from: elements)
  }

  /// A scalar.
  public convenience init(_ value: Float) { self.init([value], shape: []) }

  /// The elements, copied, as float32.
  public var elements: [Float] {
    let wide = converted(to: .float32)
    return withExtendedLifetime(wide) { Array(UnsafeBufferPointer(start: wide.pointer, count: count)) }
  }

  /// The only element of a tensor of one.
  public var item: Float {
    precondition(count == 1, "item of a tensor of \(count) elements")
    return element(at: 0)
  }

  /// Hands the elements of a float32 tensor to `body`, in row-major order and without a copy: for MPI, HDF5 and
  /// checksums, which take memory.
  ///
  /// The buffer holds `count` elements and is good until `body` returns. Its address is never nil, not even of an empty
  /// tensor. Arithmetic is for operations.
  public func withUnsafeElements<Result>(
    _ body: (UnsafeBufferPointer<Float>) throws -> Result
  ) rethrows -> Result {
    try withExtendedLifetime(self) { try body(UnsafeBufferPointer(start: pointer, count: count)) }
  }

  /// Hands the elements to `body` to be read and written, as `withUnsafeElements` does: for MPI, HDF5 and decoders,
  /// which fill memory in place.
  ///
  /// Views of the same memory see what is written. Nobody else may touch those elements meanwhile.
  public func withUnsafeMutableElements<Result>(
    _ body: (UnsafeMutableBufferPointer<Float>) throws -> Result
  ) rethrows -> Result {
    try withExtendedLifetime(self) { try body(UnsafeMutableBufferPointer(start: pointer, count: count)) }
  }

  /// Whether a gradient with respect to this tensor is wanted.
  public var needsGradient: Bool { slot != nil }

  /// The gradient that has gathered so far. Kept after `backward` only for leaves (`Tape.leaf`).
  public var gradient: Tensor? { slot?.gradient }

  /// The same elements under another shape; gradients flow through.
  public func reshaped(_ shape: [Int]) -> Tensor {
    let view = Tensor(viewing: self, at: 0, shape: shape)
    precondition(view.count == count, "cannot reshape \(self.shape) to \(shape)")
    view.tape = tape
    view.slot = slot
    return view
  }

  /// The same memory as a plain value, off the tape.
  public var detached: Tensor { Tensor(viewing: self, at: 0, shape: shape) }

  /// A window of `shape` starting at element `offset`, off the tape; writes are seen by both.
  public func view(at offset: Int, shape: [Int]) -> Tensor {
    Tensor(viewing: self, at: offset, shape: shape)
  }

  /// A window over some entries of the first axis, off the tape; writes are seen by both.
  public subscript(rows range: Range<Int>) -> Tensor {
    view(at: range.lowerBound * entrySize, shape: [range.count] + shape.dropFirst())
  }

  /// A window over one entry of the first axis, without that axis, off the tape; writes are seen by both.
  public subscript(row index: Int) -> Tensor {
    view(at: index * entrySize, shape: Array(shape.dropFirst()))
  }

  /// Elements of an entry of the first axis.
  private var entrySize: Int {
    precondition(!shape.isEmpty, "a scalar has no rows")
    return shape.dropFirst().reduce(1, *)
  }

  /// A copy in memory of its own, off the tape.
  public func copy() -> Tensor {
    let result = Tensor(uninitialized: shape, dtype: dtype)
    result.copyElements(from: self)
    return result
  }

  /// The elements in a number format, off the tape: the same memory where they have it already.
  public func converted(to dtype: DType) -> Tensor {
    guard dtype != self.dtype else { return detached }
    let result = Tensor(uninitialized: shape, dtype: dtype)
    result.copyElements(from: self)
    return result
  }

  /// Overwrites the elements with those of a tensor of the same size, in its own number format.
  public func copyElements(from other: Tensor) {
    precondition(other.count == count)
    ThreadPool.current.forEachRange(of: count, grain: 1 << 15) { range in
      let (i, n) = (range.lowerBound, range.count)
      switch (dtype, other.dtype) {
      case (.float32, .float32): (pointer + i).update(from: other.pointer + i, count: n)
      case (.bfloat16, .bfloat16): (halves + i).update(from: other.halves + i, count: n)
      case (.bfloat16, .float32): peco_to_bfloat16(halves + i, other.pointer + i, n)
      case (.float32, .bfloat16): peco_from_bfloat16(pointer + i, other.halves + i, n)
      }
    }
  }

  /// Overwrites the elements with as many others, in row-major order.
  public func copyElements(from elements: [Float]) {
    precondition(elements.count == count, "\(elements.count) elements do not fill shape \(shape)")
    elements.withUnsafeBufferPointer { source in
      guard let start = source.baseAddress else { return }
      switch dtype {
      case .float32: pointer.update(from: start, count: count)
      case .bfloat16: peco_to_bfloat16(halves, start, count)
      }
    }
  }

  /// Overwrites every element.
  public func fill(_ value: Float) {
    ThreadPool.current.forEachRange(of: count, grain: 1 << 15) { range in
      switch dtype {
      case .float32: peco_fill(pointer + range.lowerBound, value, range.count)
      case .bfloat16: peco_fill_bfloat16(halves + range.lowerBound, value, range.count)
      }
    }
  }

  /// Adds `term` into the gradient of this tensor; does nothing where none is wanted.
  ///
  /// The tensor may be kept, not copied: the caller does not write to `term` afterwards.
  public func addGradient(_ term: @autoclosure () -> Tensor) { slot?.add(term()) }

  /// Where the gradient goes, for a backward that does not read the elements: it does not keep them.
  public var gradientTarget: GradientTarget { GradientTarget(slot: slot, shape: shape, dtype: dtype) }

  /// Where a tensor like one that is read for the last time is to be written: over it, where nobody else holds it.
  public static func inPlace(of tensor: inout Tensor) -> Tensor {
    isKnownUniquelyReferenced(&tensor) && tensor.hasMemoryToItself()
      ? tensor.detached : Tensor(uninitialized: tensor.shape, dtype: tensor.dtype)
  }

  /// Whether nothing else holds the memory, so that it may be overwritten.
  fileprivate func hasMemoryToItself() -> Bool { isKnownUniquelyReferenced(&block) }
}

/// Where the gradient of a tensor goes, which need not be there any more.
public struct GradientTarget {
  fileprivate let slot: GradientSlot?
  /// The tensor's shape.
  public let shape: [Int]
  /// The tensor's number format, in which gradients are best given.
  public let dtype: DType

  /// Whether the gradient is wanted.
  public var isWanted: Bool { slot != nil }

  /// Adds `term`; does nothing where no gradient is wanted. The tensor may be kept, not copied.
  public func add(_ term: @autoclosure () -> Tensor) { slot?.add(term()) }
}

/// Where the gradient with respect to one tensor gathers while backward runs, in the tensor's number format.
final class GradientSlot {
  private let dtype: DType
  var gradient: Tensor?

  init(_ dtype: DType) { self.dtype = dtype }

  func add(_ term: Tensor) {
    let term = term.converted(to: dtype)
    guard var present = gradient else {
      gradient = term
      return
    }
    precondition(present.count == term.count, "gradients \(present.shape) and \(term.shape) do not add")
    gradient = nil
    // The same tensor may have been handed to several slots: write over it only where this one holds it alone.
    let alone = isKnownUniquelyReferenced(&present) && present.hasMemoryToItself()
    let total = alone ? present : Tensor(uninitialized: present.shape, dtype: dtype)
    ThreadPool.current.forEachRange(of: present.count, grain: 1 << 15) { range in
      let (i, n) = (range.lowerBound, range.count)
      switch dtype {
      case .float32: peco_add(total.pointer + i, present.pointer + i, term.pointer + i, n)
      case .bfloat16: peco_add_bfloat16(total.halves + i, present.halves + i, term.halves + i, n)
      }
    }
    gradient = total
  }
}

import Foundation
import Synchronization
import Threads

/// What one rank computes with: its threads, its memory, its precision, and the word that it is to end.
///
/// A thread has a current context. Operations take threads and memory from it, so that no call passes it on; the memory
/// of a tensor goes back to the context that it came from. Contexts share nothing: each rank in a process has one.
///
///     let context = try ExecutionContext(threads: 8)
///     try context.run {
///       let images = Tensor([32, 224, 224, 3])
///       // Out of memory, in whatever thread of the context, is an error that `run` throws.
///     }
public final class ExecutionContext: Sendable {
  /// The threads that share the work of an operation.
  public let threads: ThreadPool
  /// Where the memory of tensors comes from.
  public let memory: MemoryPool
  /// Whether the work is to end.
  public let cancellation: Cancellation

  /// The calling thread's context. One for all threads that were given none; it has one thread.
  @TaskLocal public static var current = ExecutionContext()

  private let failure = Mutex<FailureBox?>(nil)
  private let productFormat = Mutex<DType>(.float32)

  /// A context of one thread.
  public init(cancellation: Cancellation = Cancellation()) {
    threads = ThreadPool()
    memory = MemoryPool()
    self.cancellation = cancellation
  }

  /// A context of its own threads and memory. Throws where the system does not give so many threads.
  ///
  /// - Parameters:
  ///   - threads: How many compute, the one that calls operations included.
  ///   - memoryLimit: The most bytes that its tensors may take from the system; nil for no limit but the system's.
  ///   - cancellation: Is asked by long operations whether to go on.
  public init(threads: Int, memoryLimit: Int? = nil, cancellation: Cancellation = Cancellation()) throws {
    self.threads = ThreadPool()
    memory = MemoryPool(limit: memoryLimit)
    self.cancellation = cancellation
    try self.threads.resize(to: threads)
  }

  /// The number format in which matrices are multiplied and images convolved, as under PyTorch's `autocast`; at first
  /// float32. Weights, their gradients, statistics and losses are float32 in any case.
  ///
  /// Operations look at it in forward, on the thread that calls them, and go by it in backward.
  public var precision: DType { productFormat.withLock(\.self) }

  /// Sets it for all that is computed from now on.
  public func setPrecision(_ precision: DType) { productFormat.withLock { $0 = precision } }

  /// Runs `body` with another, for a part of a model that needs the digits.
  public func withPrecision<Result>(_ precision: DType, _ body: () throws -> Result) rethrows -> Result {
    let outer = self.precision
    setPrecision(precision)
    defer { setPrecision(outer) }
    return try body()
  }

  /// Runs `body` on a thread of its own whose current context this is, and waits for it.
  ///
  /// Throws what `body` throws, or the first failure of memory or of a kernel inside the context. After such a failure
  /// the threads that were at work sleep for good, with what they held: the context is not to be used again.
  public func run<Value>(_ body: @escaping () throws -> Value) throws -> Value {
    let box = FailureBox()
    failure.withLock { $0 = box }
    defer { failure.withLock { if $0 === box { $0 = nil } } }
    let job = Job(body)
    try WorkerThread.start("peco-run", stackSize: 16 << 20) { [self] in
      ExecutionContext.$current.withValue(self) { job.perform() }
      box.end(nil)
    }
    try box.wait()
    return try job.result()
  }

  /// Gives up: what was asked of the system cannot be had, and the operation has no way to throw.
  ///
  /// `run` throws the error, and the calling thread sleeps for good. Where nobody runs the context there is nobody to
  /// tell, and the process ends with the error's text, as with any other broken precondition.
  public func fail(_ error: any Error) -> Never {
    guard let box = failure.withLock(\.self) else { fatalError("\(error)") }
    threads.abandon()
    box.end(error)
    sleepForever()
  }

  /// The closure that `run` runs, and what came of it.
  ///
  /// Unchecked: the thread that made it waits until the one that performs it has ended.
  private final class Job<Value>: @unchecked Sendable {
    private let body: () throws -> Value
    private var outcome: Result<Value, any Error>?

    init(_ body: @escaping () throws -> Value) { self.body = body }

    func perform() { outcome = Result { try body() } }

    func result() throws -> Value {
      guard let outcome else { throw ExecutionError("a run has ended without a result") }
      return try outcome.get()
    }
  }

  /// Where the end of a run is waited for.
  ///
  /// Unchecked: the condition guards what changes.
  private final class FailureBox: @unchecked Sendable {
    private let condition = NSCondition()
    private var hasEnded = false
    private var error: (any Error)?

    func end(_ error: (any Error)?) {
      condition.withLock {
        if !hasEnded { self.error = error }
        hasEnded = true
        condition.broadcast()
      }
    }

    func wait() throws {
      try condition.withLock {
        while !hasEnded { condition.wait() }
        if let error { throw error }
      }
    }
  }
}

/// The system refused what a computation cannot do without.
public struct ExecutionError: Error, CustomStringConvertible {
  /// What was refused, and what to do.
  public let description: String

  /// An error of this text.
  public init(_ description: String) { self.description = description }
}

/// A thread that must not go on, in a process that must not end.
func sleepForever() -> Never {
  while true { sleep(.max) }
}

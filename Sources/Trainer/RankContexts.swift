import Communication
import Tensors

extension InProcessRanks {
  /// Runs `body` once for every rank as `run(_:_:)` does, each in an execution context of its own: ranks share neither
  /// threads nor memory, and what fails in an operation of one, which cannot throw, is that rank's error.
  ///
  /// - Parameters:
  ///   - count: How many ranks, at least one.
  ///   - threads: How many threads of each rank compute.
  ///   - memoryLimit: The most bytes that a rank's tensors may take from the system; nil for no limit but the system's.
  ///   - body: What each rank does with its communicator.
  public static func run<Value: Sendable>(
    _ count: Int, threads: Int, memoryLimit: Int? = nil,
    _ body: @escaping @Sendable (Communicator) throws -> Value
  ) throws -> [Value] {
    try run(count) { communicator in
      let context = try ExecutionContext(threads: threads, memoryLimit: memoryLimit)
      return try context.run { try body(communicator) }
    }
  }
}

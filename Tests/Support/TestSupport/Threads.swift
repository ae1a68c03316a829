import Operations
import Tensors

private let configured: Void = {
  MatrixMultiply.useSingleThreadedKernels()
  do { try ThreadPool.current.resize(to: 3) } catch { fatalError("\(error)") }
}()

/// Lets operations use several threads from now on, so that tests cover how work is cut. May be called by every
/// suite that wants it, even while others compute: the thread that is there before has nothing to stop.
public func useSeveralThreads() { configured }

/// Runs `body` in a context of its own, of two threads, that computes products in a number format.
public func withPrecision(_ precision: DType, _ body: @escaping () throws -> Void) throws {
  let context = try ExecutionContext(threads: 2)
  context.setPrecision(precision)
  try context.run(body)
}

import Operations
import Tensors

private let configured: Void = {
  MatrixMultiply.useSingleThreadedKernels()
  do { try ThreadPool.current.resize(to: 3) } catch { fatalError("\(error)") }
}()

/// Lets operations use several threads from now on, so that tests cover how work is cut. May be called by every
/// suite that wants it, even while others compute: the thread that is there before has nothing to stop.
public func useSeveralThreads() { configured }

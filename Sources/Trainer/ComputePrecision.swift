import Communication
import Configuration
import Logging
import Operations
import Tensors

/// The number format in which a rank computes products.
public enum ComputePrecision {
  /// Gives the current context its precision, the same on all ranks, and returns it. Collective. On the first rank it
  /// warns where bfloat16 is asked for and a processor has no instructions for it.
  @discardableResult
  public static func configure(
    _ choice: Precision, communicator: Communicator, logger: Logger
  ) throws -> DType {
    let lacking = try communicator.allReduce(.sum, Int64(MatrixMultiply.hasNativeBFloat16 ? 0 : 1))
    let dtype: DType =
      switch choice {
      case .float32: .float32
      case .bfloat16: .bfloat16
      case .auto: lacking == 0 ? .bfloat16 : .float32
      }
    ExecutionContext.current.setPrecision(dtype)
    if dtype == .bfloat16, lacking > 0, communicator.isRoot {
      logger.warning(
        """
        the processors of \(lacking) of \(communicator.size) ranks have no instructions for bfloat16: it works there, and is \
        slower than float32
        """)
    }
    return dtype
  }
}

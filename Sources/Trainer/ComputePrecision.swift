import Communication
import Configuration
import Operations
import Tensors

/// The number format in which a rank computes products.
public enum ComputePrecision {
  /// Gives the current context its precision, the same on all ranks. Collective.
  ///
  /// - Returns: The format, and what is to be warned of: bfloat16 that was asked for on a processor without instructions
  ///   for it.
  @discardableResult
  public static func configure(
    _ choice: Precision, communicator: Communicator
  ) throws -> (dtype: DType, warning: String?) {
    let lacking = try communicator.allReduce(.sum, [MatrixMultiply.hasNativeBFloat16 ? 0 : 1])[0]
    let dtype: DType =
      switch choice {
      case .float32: .float32
      case .bfloat16: .bfloat16
      case .auto: lacking == 0 ? .bfloat16 : .float32
      }
    ExecutionContext.current.setPrecision(dtype)
    guard dtype == .bfloat16, lacking > 0 else { return (dtype, nil) }
    return (
      dtype,
      "training.precision is bfloat16, for which the processors of \(Int(lacking)) of \(communicator.size) ranks have no "
        + "instructions: it works there, and is slower than float32"
    )
  }
}

import Operations
import Tensors

/// The Euclidean norm of the gradients, and the factor that keeps it in bounds.
public enum GradientNorm {
  /// The norm of all gradients together. Not finite if one of them is not.
  public static func norm(of flat: FlatParameters) -> Double { norm(of: flat.gradients) }

  /// The norm of a tensor's elements, the same on any number of threads.
  public static func norm(of tensor: Tensor) -> Double { sumOfSquares(tensor).squareRoot() }

  /// What gradients of this norm are multiplied by so that it is at most `limit`, as
  /// `torch.nn.utils.clip_grad_norm_` does. 1 without a limit.
  public static func clipFactor(norm: Double, limit: Double?) -> Double {
    guard let limit else { return 1 }
    return min(1, limit / (norm + 1e-6))
  }
}

import CKernels
import Tensors

/// The Euclidean norm of the gradients, and the factor that keeps it in bounds.
public enum GradientNorm {
  /// Elements summed at a time. Fixed, so that the sum does not depend on the number of threads.
  private static let block = 1 << 16

  /// The norm of all gradients together. Not finite if one of them is not.
  public static func norm(of flat: FlatParameters) -> Double { norm(of: flat.gradients) }

  /// The norm of a tensor's elements, the same on any number of threads.
  public static func norm(of tensor: Tensor) -> Double {
    let blocks = (tensor.count + block - 1) / block
    let partials = [Double](unsafeUninitializedCapacity: blocks) { partials, count in
      let (pointer, partials) = (tensor.pointer, partials)
      ThreadPool.shared.forEach(blocks) { index in
        let start = index * block
        partials[index] = peco_sum_of_squares(pointer + start, min(block, tensor.count - start))
      }
      count = blocks
    }
    return partials.reduce(0, +).squareRoot()
  }

  /// What gradients of this norm are multiplied by so that it is at most `limit`, as
  /// `torch.nn.utils.clip_grad_norm_` does. 1 without a limit.
  public static func clipFactor(norm: Double, limit: Double?) -> Double {
    guard let limit else { return 1 }
    return min(1, limit / (norm + 1e-6))
  }
}

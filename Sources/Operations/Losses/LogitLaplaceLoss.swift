import CKernels
@_spi(TensorMemory) import Tensors

/// The mean negative logarithm of the likelihood of pixels under logit-Laplace distributions (Ramesh et al.,
/// 2102.12092, appendix A.3): log(2b · x(1 − x)) + |logit x − μ| / b, a scalar.
///
/// - Parameters:
///   - statistics: [..., 6], μ of red, green and blue, then the three log b.
///   - target: [..., 3], values above 0 and below 1; no gradient flows to it.
public func logitLaplaceLoss(_ statistics: Tensor, _ target: Tensor) -> Tensor {
  precondition(
    statistics.shape.last == 6 && target.shape == statistics.shape.dropLast() + [3],
    "statistics of shape \(statistics.shape) do not fit a target of \(target.shape)")
  let (rows, count) = (target.count / 3, Double(max(target.count, 1)))
  let target = target.detached
  let total = blockwiseSum(of: rows) { range in
    peco_logit_laplace(
      statistics.pointer + range.lowerBound * 6, target.pointer + range.lowerBound * 3, range.count)
  }
  return Tape.record(Tensor(Float(total / count)), from: [statistics]) { dloss in
    let gradient = Tensor(uninitialized: statistics.shape)
    ThreadPool.current.forEachRange(of: rows, grain: 1 << 12) { range in
      let first = range.lowerBound
      peco_logit_laplace_gradient(
        gradient.pointer + first * 6, statistics.pointer + first * 6, target.pointer + first * 3,
        dloss.item / Float(count), range.count)
    }
    statistics.addGradient(gradient)
  }
}

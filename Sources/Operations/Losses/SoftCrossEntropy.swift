import CKernels
@_spi(TensorMemory) import Tensors

/// The cross-entropy of logits against distributions over the classes, averaged over rows: the loss of mixed images
/// (Zhang et al., 1710.09412).
///
/// - Parameters:
///   - logits: [R, V]
///   - targets: [R, V], each row a distribution.
/// - Returns: The mean as a scalar.
public func softCrossEntropy(_ logits: Tensor, _ targets: Tensor) -> Tensor {
  precondition(
    logits.shape.count == 2 && logits.shape == targets.shape,
    "targets \(targets.shape) for logits \(logits.shape)")
  let (rows, classes) = (logits.shape[0], logits.shape[1])
  let pool = ThreadPool.current
  let normalizer = Tensor(uninitialized: [rows])
  let ranges = pool.rangeCount(of: rows, grain: rowGrain(classes))
  var losses = [Double](repeating: 0, count: ranges)
  losses.withUnsafeMutableBufferPointer { losses in
    pool.forEachIndexedRange(of: rows, grain: rowGrain(classes)) { index, range in
      let start = range.lowerBound
      losses[index] = peco_soft_cross_entropy(
        normalizer.pointer + start, logits.pointer + start * classes, targets.pointer + start * classes,
        range.count, classes)
    }
  }
  let loss = Tensor(Float(losses.reduce(0, +) / Double(max(rows, 1))))
  return Tape.record(loss, from: [logits]) { dloss in
    let scale = dloss.item / Float(max(rows, 1))
    let gradient = Tensor(uninitialized: logits.shape)
    pool.forEachRange(of: rows, grain: rowGrain(classes)) { range in
      let start = range.lowerBound * classes
      peco_soft_cross_entropy_gradient(
        gradient.pointer + start, logits.pointer + start, normalizer.pointer + range.lowerBound,
        targets.pointer + start, scale, range.count, classes)
    }
    logits.addGradient(gradient)
  }
}

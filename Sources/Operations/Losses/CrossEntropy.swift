import CKernels
@_spi(TensorMemory) import Tensors

/// The cross-entropy of logits against target classes, averaged over rows.
///
/// With label smoothing ε the target is 1 - ε + ε/V for the class and ε/V for every other (Szegedy et al., 2016).
/// The loss of no rows is 0.
///
/// - Parameters:
///   - logits: [R, V]
///   - targets: R classes in 0..<V.
///   - labelSmoothing: ε, from 0 to 1.
/// - Returns: The mean as a scalar, and how many rows have their greatest logit at the target.
public func crossEntropy(
  _ logits: Tensor, _ targets: [Int32], labelSmoothing: Float = 0
) -> (loss: Tensor, correct: Int) {
  precondition(logits.shape.count == 2 && logits.shape[0] == targets.count, "one target a row of logits")
  let (rows, classes) = (logits.shape[0], logits.shape[1])
  precondition(targets.allSatisfy { $0 >= 0 && $0 < classes }, "a target is not among \(classes) classes")
  let pool = ThreadPool.current
  let normalizer = Tensor(uninitialized: [rows])
  let ranges = pool.rangeCount(of: rows, grain: rowGrain(classes))
  var losses = [Double](repeating: 0, count: ranges)
  var hits = [Int](repeating: 0, count: ranges)
  targets.withUnsafeBufferPointer { targets in
    losses.withUnsafeMutableBufferPointer { losses in
      hits.withUnsafeMutableBufferPointer { hits in
        guard let targets = targets.baseAddress else { return }
        pool.forEachIndexedRange(of: rows, grain: rowGrain(classes)) { index, range in
          let start = range.lowerBound
          losses[index] = peco_cross_entropy(
            normalizer.pointer + start, &hits[index], logits.pointer + start * classes, targets + start,
            labelSmoothing, range.count, classes)
        }
      }
    }
  }
  let loss = Tensor(Float(losses.reduce(0, +) / Double(max(rows, 1))))
  let target = logits.gradientTarget
  var kept: Tensor? = logits
  Tape.record(loss, from: [logits]) { dloss in
    guard var logits = kept else { return }
    kept = nil
    let scale = dloss.item / Float(max(rows, 1))
    // Of thousands of classes these are the greatest tensors there are.
    let gradient = Tensor.inPlace(of: &logits)
    targets.withUnsafeBufferPointer { targets in
      guard let targets = targets.baseAddress else { return }
      pool.forEachRange(of: rows, grain: rowGrain(classes)) { range in
        let start = range.lowerBound
        peco_cross_entropy_gradient(
          gradient.pointer + start * classes, logits.pointer + start * classes, normalizer.pointer + start,
          targets + start, labelSmoothing, scale, range.count, classes)
      }
    }
    target.add(gradient)
  }
  return (loss, hits.reduce(0, +))
}

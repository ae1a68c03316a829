import Foundation
@_spi(TensorMemory) import Tensors

/// The sum of the cross-entropy over rows, and its gradient, in double precision: a line search compares values that
/// differ in the last digits of a float.
///
/// - Parameters:
///   - logits: [N, classes]
///   - targets: N classes in 0..<classes.
public func crossEntropySum(
  _ logits: Tensor, _ targets: ArraySlice<Int32>
) -> (loss: Double, gradient: Tensor) {
  let classes = logits.shape[1]
  precondition(logits.shape[0] == targets.count, "\(targets.count) targets for logits \(logits.shape)")
  let gradient = Tensor(uninitialized: logits.shape)
  var losses = [Double](repeating: 0, count: targets.count)
  losses.withUnsafeMutableBufferPointer { losses in
    ThreadPool.current.forEachRange(of: losses.count, grain: 64) { [losses] range in
      for row in range {
        let (z, dz) = (logits.pointer + row * classes, gradient.pointer + row * classes)
        let target = Int(targets[targets.startIndex + row])
        var most = z[0]
        for i in 0..<classes { most = max(most, z[i]) }
        var sum = 0.0
        for i in 0..<classes { sum += exp(Double(z[i] - most)) }
        for i in 0..<classes { dz[i] = Float(exp(Double(z[i] - most)) / sum) }
        dz[target] -= 1
        losses[row] = log(sum) + Double(most - z[target])
      }
    }
  }
  return (losses.reduce(0, +), gradient)
}

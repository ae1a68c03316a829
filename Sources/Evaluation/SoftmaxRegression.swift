import Communication
import Foundation
import Layers
import Tensors

/// Softmax regression: the linear classifier of least mean cross-entropy plus λ/2 ‖W‖², found by L-BFGS over all samples
/// at once (Liu and Nocedal, 1989).
///
/// The problem is convex and has no order of samples and no learning rate; what is left to choose is λ. Each rank holds a
/// part of the samples; sums over them are all-reduced in double precision.
public struct SoftmaxRegression {
  /// This rank's samples: [N, width].
  let features: Tensor
  let labels: [Int32]
  let classes: Int
  let communicator: Communicator
  private let total: Double
  private let width: Int

  /// Samples computed at a time.
  private static let block = 8192
  /// Earlier steps that the curvature is estimated from.
  private static let memory = 10
  /// After so many steps the search ends in any case.
  public var mostIterations = 200

  /// Collective.
  public init(features: Tensor, labels: [Int32], classes: Int, communicator: Communicator) throws {
    precondition(features.shape == [labels.count, features.shape[1]], "a label for every sample")
    self.features = features
    self.labels = labels
    self.classes = classes
    self.communicator = communicator
    width = features.shape[1]
    total = try communicator.allReduce(.sum, Double(labels.count))
  }

  /// Weights and biases: [classes, width + 1], the bias last.
  public typealias Weights = [Double]

  /// The logits of samples [N, width]: [N, classes].
  public static func logits(_ features: Tensor, _ weights: Weights, classes: Int) -> Tensor {
    let width = features.shape[1]
    let matrix = Tensor([classes, width])
    let result = Tensor(uninitialized: [features.shape[0], classes])
    for label in 0..<classes {
      for i in 0..<width { matrix.pointer[label * width + i] = Float(weights[label * (width + 1) + i]) }
    }
    MatrixMultiply.parallel(
      features.shape[0], classes, width, MatrixView(features.pointer, stride: width),
      MatrixView(matrix.pointer, stride: width, transposed: true),
      into: MatrixView(result.pointer, stride: classes))
    for row in 0..<features.shape[0] {
      for label in 0..<classes {
        result.pointer[row * classes + label] += Float(weights[label * (width + 1) + width])
      }
    }
    return result
  }

  /// The minimum for `penalty`, looked for from `start`; `isMinimum` is false where the search ended before. Collective.
  public func fit(
    penalty: Double, from start: Weights? = nil
  ) throws -> (weights: Weights, isMinimum: Bool) {
    var weights = start ?? [Double](repeating: 0, count: classes * (width + 1))
    var (value, gradient) = try objective(weights, penalty)
    var steps: [(s: [Double], y: [Double], inverse: Double)] = []
    for iteration in 0..<mostIterations {
      var direction = Self.direction(gradient, steps)
      var slope = Self.dot(direction, gradient)
      if slope >= 0 {
        (steps, direction) = ([], gradient.map { -$0 })
        slope = Self.dot(direction, gradient)
      }
      guard -slope > 1e-14 else { return (weights, true) }
      var length = iteration == 0 ? min(1, 1 / (-slope).squareRoot()) : 1
      var (moved, found) = (weights, (value: Double.infinity, gradient: gradient))
      for _ in 0..<30 {
        moved = zip(weights, direction).map { $0 + length * $1 }
        found = try objective(moved, penalty)
        if found.value <= value + 1e-4 * length * slope { break }
        length /= 2
      }
      guard found.value < value else { return (weights, true) }
      let (s, y) = (
        zip(moved, weights).map { $0 - $1 }, zip(found.gradient, gradient).map { $0 - $1 }
      )
      let product = Self.dot(s, y)
      if product > 1e-18 {
        steps.append((s, y, 1 / product))
        if steps.count > Self.memory { steps.removeFirst() }
      }
      let gain = value - found.value
      (weights, value, gradient) = (moved, found.value, found.gradient)
      if gain < 1e-10 * max(1, abs(value)) { return (weights, true) }
    }
    return (weights, false)
  }

  /// The objective and its gradient, the same on every rank. Collective.
  private func objective(
    _ weights: Weights, _ penalty: Double
  ) throws -> (value: Double, gradient: [Double]) {
    var sums = [Double](repeating: 0, count: weights.count + 1)
    for first in stride(from: 0, to: labels.count, by: Self.block) {
      let count = min(Self.block, labels.count - first)
      let samples = features.view(at: first * width, shape: [count, width])
      let logits = Self.logits(samples, weights, classes: classes)
      let (loss, gradient) = crossEntropySum(logits, labels[first..<first + count])
      sums[weights.count] += loss
      let product = Tensor(uninitialized: [classes, width])
      MatrixMultiply.parallel(
        classes, width, count, MatrixView(gradient.pointer, stride: classes, transposed: true),
        MatrixView(samples.pointer, stride: width), into: MatrixView(product.pointer, stride: width))
      for label in 0..<classes {
        for i in 0..<width { sums[label * (width + 1) + i] += Double(product.pointer[label * width + i]) }
        for row in 0..<count {
          sums[label * (width + 1) + width] += Double(gradient.pointer[row * classes + label])
        }
      }
    }
    sums = try communicator.allReduce(.sum, sums).map { $0 / total }
    var value = sums.removeLast()
    for i in weights.indices where (i + 1) % (width + 1) != 0 {
      value += penalty / 2 * weights[i] * weights[i]
      sums[i] += penalty * weights[i]
    }
    return (value, sums)
  }

  /// The sum of the cross-entropy over rows, and its gradient. In double precision: a line search compares values that
  /// differ in the last digits of a float.
  private func crossEntropySum(
    _ logits: Tensor, _ labels: ArraySlice<Int32>
  ) -> (loss: Double, gradient: Tensor) {
    let gradient = Tensor(uninitialized: logits.shape)
    var losses = [Double](repeating: 0, count: labels.count)
    losses.withUnsafeMutableBufferPointer { losses in
      ThreadPool.shared.forEachRange(of: losses.count, grain: 64) { range in
        for row in range {
          let (z, dz) = (logits.pointer + row * classes, gradient.pointer + row * classes)
          let target = Int(labels[labels.startIndex + row])
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

  /// L-BFGS's two loops: the gradient through the estimated inverse curvature, downhill.
  private static func direction(
    _ gradient: [Double], _ steps: [(s: [Double], y: [Double], inverse: Double)]
  ) -> [Double] {
    var q = gradient
    var shares: [Double] = []
    for step in steps.reversed() {
      let share = step.inverse * dot(step.s, q)
      shares.append(share)
      for i in q.indices { q[i] -= share * step.y[i] }
    }
    if let last = steps.last {
      let scale = 1 / (last.inverse * dot(last.y, last.y))
      for i in q.indices { q[i] *= scale }
    }
    for (step, share) in zip(steps, shares.reversed()) {
      let correction = share - step.inverse * dot(step.y, q)
      for i in q.indices { q[i] += correction * step.s[i] }
    }
    return q.map { -$0 }
  }

  private static func dot(_ x: [Double], _ y: [Double]) -> Double {
    var sum = 0.0
    for i in x.indices { sum += x[i] * y[i] }
    return sum
  }
}

import Communication
import Foundation
import Operations
import Tensors

/// Softmax regression: the linear classifier of least mean cross-entropy plus λ/2 ‖W‖², found by L-BFGS over all
/// samples at once (Liu and Nocedal, 1989).
///
/// The problem is convex and has no order of samples and no learning rate; what is left to choose is λ. Each rank holds
/// a part of the samples; sums over them are all-reduced in double precision.
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
    let matrix = (0..<classes).flatMap { label in
      weights[label * (width + 1)..<label * (width + 1) + width].map { Float($0) }
    }
    let bias = (0..<classes).map { label in Float(weights[label * (width + 1) + width]) }
    return affine(
      features, Tensor(matrix, shape: [classes, width]), bias: Tensor(bias, shape: [classes]))
  }

  /// The minimum for `penalty`, looked for from `start`; `isMinimum` is false where the search ended before.
  /// Collective.
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
    let matrix = DoubleSum(count: classes * width)
    var biases = [Double](repeating: 0, count: classes)
    var lossSum = 0.0
    for first in stride(from: 0, to: labels.count, by: Self.block) {
      let range = first..<min(first + Self.block, labels.count)
      let samples = features[rows: range]
      let logits = Self.logits(samples, weights, classes: classes)
      let (loss, gradient) = crossEntropySum(logits, labels[range])
      lossSum += loss
      matrix.take(matrixProduct(gradient, samples, aTransposed: true), at: 0)
      addColumnSums(of: gradient, to: &biases)
    }
    let matrixSums = matrix.elements
    var sums = (0..<classes).flatMap { label in
      matrixSums[label * width..<(label + 1) * width] + [biases[label]]
    }
    sums = try communicator.allReduce(.sum, sums + [lossSum]).map { $0 / total }
    var value = sums.removeLast()
    for i in weights.indices where (i + 1) % (width + 1) != 0 {
      value += penalty / 2 * weights[i] * weights[i]
      sums[i] += penalty * weights[i]
    }
    return (value, sums)
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

import Foundation
import Operations
import Tensors

/// Takes tables of positions from one grid of patches to another, so that a transformer can see images of another
/// size than those it was trained on; both as BEiT's published code does it for fine-tuning.
public enum PositionInterpolation {
  /// Absolute positions [1 + from², width] for a grid of `to` × `to`: the class token's stays, the others are
  /// interpolated as an image, bicubic without antialiasing, pixels' centers on a common scale.
  public static func absolute(_ table: [Float], width: Int, from: Int, to: Int) -> [Float] {
    precondition(table.count == (1 + from * from) * width, "a table of another grid than \(from)²")
    guard from != to else { return table }
    let map = absoluteMap(from: from, height: to, width: to)
    return resampleGrid(Tensor(table, shape: [1 + from * from, width]), map, first: 1).elements
  }

  /// Relative positions [(2 from − 1)² + 3, heads] for a grid of `to` × `to`.
  ///
  /// The offsets of the old grid are spread over the new one's range in steps that grow geometrically with the
  /// distance, so that near offsets keep their meaning; a cubic spline through them gives the new offsets. The three
  /// rows of the class token stay.
  public static func relative(_ table: [Float], heads: Int, from: Int, to: Int) -> [Float] {
    let source = 2 * from - 1
    precondition(table.count == (source * source + 3) * heads, "a table of another grid than \(from)²")
    guard from != to else { return table }
    let map = relativeMap(from: from, height: to, width: to)
    return resampleGrid(Tensor(table, shape: [source * source + 3, heads]), map).elements
  }

  /// What absolute positions of a grid of `from` × `from` become on one of `height` × `width`.
  static func absoluteMap(from: Int, height: Int, width: Int) -> GridMap {
    GridMap(rows: bicubicWeights(from: from, to: height), columns: bicubicWeights(from: from, to: width))
  }

  /// What relative positions of a grid of `from` × `from` become on one of `height` × `width`. Along a side that keeps
  /// its length they stay.
  static func relativeMap(from: Int, height: Int, width: Int) -> GridMap {
    GridMap(rows: offsetWeights(from: from, to: height), columns: offsetWeights(from: from, to: width))
  }

  // MARK: - Absolute

  /// PyTorch's bicubic interpolation (Keys's kernel with a = −3/4), `align_corners` false.
  private static func bicubicWeights(from: Int, to: Int) -> [[Double]] {
    let a = -0.75
    func kernel(_ distance: Double) -> Double {
      let x = abs(distance)
      if x <= 1 { return ((a + 2) * x - (a + 3)) * x * x + 1 }
      return x < 2 ? ((a * x - 5 * a) * x + 8 * a) * x - 4 * a : 0
    }
    return (0..<to).map { index in
      let center = (Double(index) + 0.5) * Double(from) / Double(to) - 0.5
      let first = Int(center.rounded(.down)) - 1
      var weights = [Double](repeating: 0, count: from)
      for place in first..<first + 4 {
        // What lies beyond the edge is the edge.
        weights[min(max(place, 0), from - 1)] += kernel(center - Double(place))
      }
      return weights
    }
  }

  // MARK: - Relative

  /// What each offset along a side of `from` patches weighs in those along one of `to`.
  private static func offsetWeights(from: Int, to: Int) -> [[Double]] {
    let (source, target) = (2 * from - 1, 2 * to - 1)
    guard from != to else {
      return (0..<source).map { index in (0..<source).map { $0 == index ? 1 : 0 } }
    }
    let wanted = (0..<target).map { Double($0 - target / 2) }
    return splineWeights(geometricPlaces(source: source, target: target), at: wanted)
  }

  /// Where the old offsets lie on the new scale: 0, ±1, ±(1 + q), ±(1 + q + q²), ..., with q such that the last is the
  /// new scale's.
  static func geometricPlaces(source: Int, target: Int) -> [Double] {
    let count = source / 2
    var (least, most) = (1.01, 1.5)
    var ratio = least
    while most - least > 1e-6 {
      ratio = (least + most) / 2
      let sum = (1 - pow(ratio, Double(count))) / (1 - ratio)
      if sum > Double(target / 2) { most = ratio } else { least = ratio }
    }
    var distances: [Double] = []
    var distance = 1.0
    for i in 0..<count {
      distances.append(distance)
      distance += pow(ratio, Double(i + 1))
    }
    return distances.reversed().map { -$0 } + [0] + distances
  }

  /// What each point weighs in the values of the interpolating cubic spline (not-a-knot) at `wanted`; beyond the
  /// first and the last point the spline keeps its value there.
  static func splineWeights(_ x: [Double], at wanted: [Double]) -> [[Double]] {
    let n = x.count
    let wanted = wanted.map { min(max($0, x[0]), x[n - 1]) }
    guard n > 3 else { return wanted.map { lagrangeWeights(x, at: $0) } }
    // Second derivatives m of the spline through values y: A m = B y.
    let h = zip(x.dropFirst(), x).map { $0 - $1 }
    var a = [[Double]](repeating: [Double](repeating: 0, count: n), count: n)
    var b = a
    (a[0][0], a[0][1], a[0][2]) = (h[1], -(h[0] + h[1]), h[0])
    (a[n - 1][n - 3], a[n - 1][n - 2], a[n - 1][n - 1]) = (h[n - 2], -(h[n - 3] + h[n - 2]), h[n - 3])
    for i in 1..<n - 1 {
      (a[i][i - 1], a[i][i], a[i][i + 1]) = (h[i - 1], 2 * (h[i - 1] + h[i]), h[i])
      (b[i][i - 1], b[i][i], b[i][i + 1]) = (6 / h[i - 1], -6 / h[i - 1] - 6 / h[i], 6 / h[i])
    }
    solve(&a, &b)
    return wanted.map { point in
      let i = min(max(x.lastIndex { $0 <= point } ?? 0, 0), n - 2)
      let (left, right) = (point - x[i], x[i + 1] - point)
      let (low, high) = (
        right * right * right / (6 * h[i]) - right * h[i] / 6,
        left * left * left / (6 * h[i]) - left * h[i] / 6
      )
      var weights = zip(b[i], b[i + 1]).map { low * $0 + high * $1 }
      weights[i] += right / h[i]
      weights[i + 1] += left / h[i]
      return weights
    }
  }

  /// The polynomial through few points.
  private static func lagrangeWeights(_ x: [Double], at point: Double) -> [Double] {
    x.indices.map { i in
      x.indices.reduce(1.0) { $1 == i ? $0 : $0 * (point - x[$1]) / (x[i] - x[$1]) }
    }
  }

  /// Replaces b by A⁻¹ b (Gauss's elimination, rows of the greatest element first).
  private static func solve(_ a: inout [[Double]], _ b: inout [[Double]]) {
    let n = a.count
    for column in 0..<n {
      let pivot = (column..<n).max { abs(a[$0][column]) < abs(a[$1][column]) } ?? column
      a.swapAt(column, pivot)
      b.swapAt(column, pivot)
      let scale = 1 / a[column][column]
      for i in 0..<n {
        a[column][i] *= scale
        b[column][i] *= scale
      }
      for row in 0..<n where row != column && a[row][column] != 0 {
        let factor = a[row][column]
        for i in 0..<n {
          a[row][i] -= factor * a[column][i]
          b[row][i] -= factor * b[column][i]
        }
      }
    }
  }
}

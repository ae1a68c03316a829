import CKernels
import Tensors

/// Layer normalisation over the last axis (Ba, Kiros and Hinton, 2016).
public struct LayerNorm {
  /// [width]
  public let weight: Parameter
  /// [width]
  public let bias: Parameter
  /// Added to the variance.
  public let epsilon: Float

  /// Makes `weight` (ones) and `bias` (zeros) in `scope`.
  public init(_ width: Int, epsilon: Float = 1e-6, in scope: ParameterScope) {
    weight = scope.parameter("weight", [width], .ones)
    bias = scope.parameter("bias", [width], .zeros)
    self.epsilon = epsilon
  }

  /// The parameters in the order in which they were made.
  public var parameters: [Parameter] { [weight, bias] }

  /// Normalises each row; with `samples`, only those entries of the first axis (ascending), and returns them
  /// alone.
  ///
  /// [B, ..., width] → [B or samples.count, ..., width]
  public func callAsFunction(_ x: Tensor, samples: [Int]? = nil) -> Tensor {
    let width = weight.count
    precondition(x.shape.last == width, "\(weight.name) does not apply to shape \(x.shape)")
    let entries = x.shape[0]
    let selection = EntrySelection(
      samples, of: entries, rowsPerEntry: x.shape.dropFirst().dropLast().reduce(1, *))
    let rows = selection.rows
    let y = Tensor(uninitialized: [samples?.count ?? entries] + x.shape.dropFirst())
    let statistics = Tensor(uninitialized: [2, rows])
    let (mean, deviationInverse) = (statistics.pointer, statistics.pointer + rows)
    let (w, b) = (weight.value, bias.value)
    ThreadPool.shared.forEachRange(of: rows, grain: rowGrain(width)) { range in
      selection.forEachRun(in: range) { selected, whole, count in
        peco_layer_norm(
          y.pointer + selected * width, mean + selected, deviationInverse + selected,
          x.pointer + whole * width, w.pointer, b.pointer, epsilon, count, width)
      }
    }
    return Tape.record(y, from: [x], parameters: parameters) { dy in
      let (mean, deviationInverse) = (statistics.pointer, statistics.pointer + rows)
      let dx = Tensor(uninitialized: x.shape)
      let sums = [RowSum(weight.gradient, count: width), RowSum(bias.gradient, count: width)]
      accumulateOverRows(rows, grain: rowGrain(width), into: sums) { range, sums in
        selection.forEachRun(in: range) { selected, whole, count in
          peco_layer_norm_gradient(
            dx.pointer + whole * width, sums[0], sums[1], dy.pointer + selected * width,
            x.pointer + whole * width, mean + selected, deviationInverse + selected, w.pointer, count, width)
        }
      }
      let others = selection.complement(of: entries)
      others.forEachRun(in: 0..<others.rows) { _, whole, count in
        peco_fill(dx.pointer + whole * width, 0, count * width)
      }
      x.addGradient(dx)
    }
  }
}

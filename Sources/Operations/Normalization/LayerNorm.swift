import CKernels
@_spi(TensorMemory) import Tensors

/// Factor, offset and epsilon of a layer normalization.
public struct LayerNormParameters {
  /// [width]
  public let weight: Parameter
  /// [width]
  public let bias: Parameter
  /// Added to the variance.
  public let epsilon: Float

  /// The parameters of a layer normalization over rows of `weight.count`.
  public init(weight: Parameter, bias: Parameter, epsilon: Float) {
    (self.weight, self.bias, self.epsilon) = (weight, bias, epsilon)
  }

  var parameters: [Parameter] { [weight, bias] }
}

/// Layer normalization over the last axis, as PyTorch's `layer_norm` (Ba, Kiros and Hinton, 2016):
/// [B, ..., width] → [B or samples.count, ..., width].
///
/// - Parameters:
///   - x: [B, ..., width]
///   - norm: Factor and offset of each column, and epsilon.
///   - samples: Entries of the first axis (ascending) that are normalized and returned; nil for all.
public func layerNorm(_ x: Tensor, _ norm: LayerNormParameters, samples: [Int]? = nil) -> Tensor {
  let pass = LayerNormPass(norm, x, samples: samples)
  return Tape.record(pass.forward(), from: [x], parameters: norm.parameters) { dy in
    // Computed whether or not x wants it: the norm's own parameters do.
    let dx = pass.backward(dy)
    x.addGradient(dx)
  }
}

/// One use of a layer normalization: what its backward needs, and the two directions.
struct LayerNormPass {
  private let norm: LayerNormParameters
  private let x: Tensor
  private let shape: [Int]
  private let selection: EntrySelection
  /// Mean and inverse deviation of each row.
  private let statistics: Tensor

  init(_ norm: LayerNormParameters, _ x: Tensor, samples: [Int]?) {
    precondition(x.shape.last == norm.weight.count, "\(norm.weight.name) does not apply to shape \(x.shape)")
    self.norm = norm
    self.x = x
    shape = [samples?.count ?? x.shape[0]] + x.shape.dropFirst()
    selection = EntrySelection(
      samples, of: x.shape[0], rowsPerEntry: x.shape.dropFirst().dropLast().reduce(1, *))
    statistics = Tensor(uninitialized: [2, selection.rows])
  }

  /// The normalized rows, in a number format. May be called again: cheaper than keeping them.
  func forward(_ dtype: DType = .float32) -> Tensor {
    let (width, rows) = (norm.weight.count, selection.rows)
    let y = Tensor(uninitialized: shape, dtype: dtype)
    let (mean, deviationInverse) = (statistics.pointer, statistics.pointer + rows)
    let (w, b) = (norm.weight.value, norm.bias.value)
    ThreadPool.current.forEachRange(of: rows, grain: rowGrain(width)) { range in
      selection.forEachRun(in: range) { selected, whole, count in
        let (start, x) = (selected * width, x.pointer + whole * width)
        let (mean, deviationInverse) = (mean + selected, deviationInverse + selected)
        switch dtype {
        case .float32:
          peco_layer_norm(
            y.pointer + start, mean, deviationInverse, x, w.pointer, b.pointer, norm.epsilon, count, width)
        case .bfloat16:
          peco_layer_norm_bfloat16(
            y.halves + start, mean, deviationInverse, x, w.pointer, b.pointer, norm.epsilon, count, width)
        }
      }
    }
    return y
  }

  /// The gradient with respect to `x`, of dy in either number format; adds the parameters'.
  func backward(_ dy: Tensor) -> Tensor {
    let (width, rows) = (norm.weight.count, selection.rows)
    let (mean, deviationInverse) = (statistics.pointer, statistics.pointer + rows)
    let dx = Tensor(uninitialized: x.shape)
    let sums = [RowSum(norm.weight.gradient, count: width), RowSum(norm.bias.gradient, count: width)]
    let w = norm.weight.value
    accumulateOverRows(rows, grain: rowGrain(width), into: sums) { range, sums in
      selection.forEachRun(in: range) { selected, whole, count in
        let (dx, x) = (dx.pointer + whole * width, x.pointer + whole * width)
        let (start, mean, deviationInverse) = (selected * width, mean + selected, deviationInverse + selected)
        switch dy.dtype {
        case .float32:
          peco_layer_norm_gradient(
            dx, sums[0], sums[1], dy.pointer + start, x, mean, deviationInverse, w.pointer, count, width)
        case .bfloat16:
          peco_layer_norm_gradient_bfloat16(
            dx, sums[0], sums[1], dy.halves + start, x, mean, deviationInverse, w.pointer, count, width)
        }
      }
    }
    let others = selection.complement(of: x.shape[0])
    others.forEachRun(in: 0..<others.rows) { _, whole, count in
      peco_fill(dx.pointer + whole * width, 0, count * width)
    }
    return dx
  }
}

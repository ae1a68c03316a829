import CKernels
@_spi(TensorMemory) import Tensors

/// The residual connection y = x + factor · gamma ∘ branch.
///
/// - Parameters:
///   - x: [B, ..., D]
///   - branch: The same shape, or with `samples` only those entries of the first axis.
///   - gamma: Layer scale [D] (Touvron et al., 2021); nil for one.
///   - samples: Entries of the first axis (ascending) that the branch was computed for; the others pass
///     unchanged. Nil for all.
///   - factor: 1 / (1 - rate) with stochastic depth.
public func residual(
  _ x: Tensor, _ branch: Tensor, gamma: Parameter? = nil, samples: [Int]? = nil, factor: Float = 1
) -> Tensor {
  let width = x.shape.last ?? 1
  let entries = x.shape.first ?? 1
  let selection = EntrySelection(
    samples, of: entries, rowsPerEntry: x.shape.dropFirst().dropLast().reduce(1, *))
  let rows = selection.rows
  precondition(branch.count == rows * width, "branch \(branch.shape) does not fit \(x.shape)")
  precondition(gamma.map { $0.count == width } ?? true, "layer scale does not fit width \(width)")
  let y = Tensor(uninitialized: x.shape)
  ThreadPool.current.forEachRange(of: rows, grain: rowGrain(width)) { range in
    selection.forEachRun(in: range) { selected, whole, count in
      peco_residual(
        y.pointer + whole * width, x.pointer + whole * width, branch.pointer + selected * width,
        gamma?.value.pointer, factor, count, width)
    }
  }
  let others = selection.complement(of: entries)
  others.forEachRun(in: 0..<others.rows) { _, whole, count in
    (y.pointer + whole * width).update(from: x.pointer + whole * width, count: count * width)
  }
  return Tape.record(y, from: [x, branch], parameters: gamma.map { [$0] } ?? []) { dy in
    x.addGradient(dy)
    guard branch.needsGradient || gamma?.gradient != nil else { return }
    let gradient = Tensor(uninitialized: branch.shape)
    let sum = RowSum(gamma?.gradient, count: gamma?.gradient == nil ? 0 : width)
    accumulateOverRows(rows, grain: rowGrain(width), into: [sum]) { range, sums in
      selection.forEachRun(in: range) { selected, whole, count in
        let start = selected * width
        peco_residual_gradient(
          gradient.pointer + start, sum.count > 0 ? sums[0] : nil, dy.pointer + whole * width,
          branch.pointer + start, gamma?.value.pointer, factor, count, width)
      }
    }
    branch.addGradient(gradient)
  }
}

/// `x` itself, standing in for a residual connection whose branch no sample keeps.
///
/// The branch's parameters get no gradient from it, and backward still reports them ready at their turn.
public func residual(_ x: Tensor, skipping parameters: [Parameter]) -> Tensor {
  Tape.record(x.detached, from: [x], parameters: parameters) { dy in x.addGradient(dy) }
}

import CKernels
@_spi(TensorMemory) import Tensors

/// The end of a transformer's branch in one operation, y = x + factor · gamma ∘ (h Wᵀ + b), or with `activation` the
/// GELU of h + activation in the place of h.
///
/// The same as `residual(x, linear(h, ...), ...)`, but nothing of the branch besides h is kept: GELU is computed again
/// for backward, in the pass that needs its slope; and layer scale's gradient, Σ dy ∘ (h Wᵀ + b), is taken from the
/// gradient of the weight, Σ_k (dyᵀ h)_jk W_jk + (Σ dy)_j b_j, so that the branch's result is not needed.
///
/// x and the result are float32. Where the context's precision is bfloat16, the product is of bfloat16, and h may be.
///
/// - Parameters:
///   - x: [B, ..., D]
///   - h: [B or samples.count, ..., inputs]; its memory is overwritten by backward if there is an activation.
///   - weight: W, [D, inputs].
///   - bias: b, [D]; nil for none.
///   - activation: The bias inside of GELU, [inputs].
///   - gamma: Layer scale [D]; nil for one.
///   - samples: Entries of the first axis (ascending) that the branch was computed for; the others pass
///     unchanged. Nil for all.
///   - factor: 1 / (1 - rate) with stochastic depth.
public func residual(
  _ x: Tensor, _ h: Tensor, weight: Parameter, bias: Parameter?, activation: Parameter? = nil,
  gamma: Parameter? = nil, samples: [Int]? = nil, factor: Float = 1
) -> Tensor {
  let entries = x.shape.first ?? 1
  let selection = EntrySelection(
    samples, of: entries, rowsPerEntry: x.shape.dropFirst().dropLast().reduce(1, *))
  guard ExecutionContext.current.precision == .float32 else {
    return residualInBFloat16(
      x, h, weight: weight, bias: bias, activation: activation, gamma: gamma, selection: selection,
      factor: factor)
  }
  let pass = ResidualProjectionPass(
    weight: weight, bias: bias, activation: activation, gamma: gamma, factor: factor, selection: selection,
    rows: selection.rows, inputs: weight.shape[1], outputs: weight.shape[0])
  precondition(h.count == pass.rows * pass.inputs, "a branch of \(h.shape) does not fit \(x.shape)")
  precondition(x.shape.last == pass.outputs, "\(weight.name) does not lead to shape \(x.shape)")
  let y = Tensor(uninitialized: x.shape)
  // Without a tape nobody comes back for h.
  pass.addBranch(activated(h, activation, inPlace: h.tape == nil), to: x, into: y)
  let others = selection.complement(of: entries)
  others.forEachRun(in: 0..<others.rows) { _, whole, count in
    (y.pointer + whole * pass.outputs).update(
      from: x.pointer + whole * pass.outputs, count: count * pass.outputs)
  }
  let parameters = [weight] + [bias, activation, gamma].compactMap { $0 }
  // GELU's slope and the weights' gradients alone read h.
  let isRead = activation != nil || parameters.contains { $0.gradient != nil }
  let kept = isRead ? h : nil
  let (target, branch) = (x.gradientTarget, h.gradientTarget)
  return Tape.record(y, from: [x, h], parameters: parameters) { dy in
    target.add(dy)
    pass.backward(dy, kept, to: branch)
  }
}

/// One use of the operation.
private struct ResidualProjectionPass {
  let weight: Parameter
  let bias: Parameter?
  let activation: Parameter?
  let gamma: Parameter?
  let factor: Float
  let selection: EntrySelection
  let rows: Int
  let inputs: Int
  let outputs: Int

  private var grain: Int { rowGrain(outputs) }

  /// y = x + scale ∘ (a Wᵀ) + shift for the selected rows.
  func addBranch(_ a: Tensor, to x: Tensor, into y: Tensor) {
    let branch = Tensor(uninitialized: [rows, outputs])
    MatrixMultiply.parallel(
      rows, outputs, inputs, MatrixView(a.pointer, stride: inputs),
      MatrixView(weight.value.pointer, stride: inputs, transposed: true),
      into: MatrixView(branch.pointer, stride: outputs))
    let scale = scale()
    let shift = Tensor([outputs])
    if let bias { peco_multiply(shift.pointer, scale.pointer, bias.value.pointer, outputs) }
    ThreadPool.current.forEachRange(of: rows, grain: grain) { range in
      selection.forEachRun(in: range) { selected, whole, count in
        peco_scaled_residual(
          y.pointer + whole * outputs, x.pointer + whole * outputs, branch.pointer + selected * outputs,
          scale.pointer, shift.pointer, count, outputs)
      }
    }
  }

  /// - Parameters:
  ///   - h: Nil where nothing reads it.
  ///   - target: Where its gradient goes.
  func backward(_ dy: Tensor, _ h: Tensor?, to target: GradientTarget) {
    let dy = selected(dy)
    let scale = scale()
    let scaled = Tensor(uninitialized: [outputs, inputs])
    forEachOutput { j in
      peco_scale(
        scaled.pointer + j * inputs, weight.value.pointer + j * inputs, scale.pointer[j], inputs)
    }
    let dh = Tensor(uninitialized: target.shape)
    MatrixMultiply.parallel(
      rows, inputs, outputs, MatrixView(dy.pointer, stride: outputs),
      MatrixView(scaled.pointer, stride: inputs), into: MatrixView(dh.pointer, stride: inputs))
    guard let activation, let h else {
      if let h { addWeightGradients(dy, h, scale, product: scaled) }
      return target.add(dh)
    }
    // h and its gradient change places with the gradient of h + activation and the activated values.
    let sum = RowSum(activation.gradient, count: inputs)
    accumulateOverRows(rows, grain: rowGrain(inputs), into: [sum]) { range, sums in
      let start = range.lowerBound * inputs
      peco_bias_gelu_gradient(
        h.pointer + start, dh.pointer + start, sums[0], activation.value.pointer, range.count, inputs)
    }
    addWeightGradients(dy, dh, scale, product: scaled)
    target.add(h.detached)
  }

  /// Adds the gradients of weight, bias and layer scale.
  ///
  /// - Parameter product: Memory for dyᵀ a.
  private func addWeightGradients(_ dy: Tensor, _ a: Tensor, _ scale: Tensor, product: Tensor) {
    guard weight.gradient != nil || bias?.gradient != nil || gamma?.gradient != nil else { return }
    MatrixMultiply.parallel(
      outputs, inputs, rows, MatrixView(dy.pointer, stride: outputs, transposed: true),
      MatrixView(a.pointer, stride: inputs), into: MatrixView(product.pointer, stride: inputs))
    let sums = Tensor([outputs])
    accumulateOverRows(rows, grain: grain, into: [RowSum(sums, count: outputs)]) { range, places in
      peco_add_column_sums(
        places[0], dy.pointer + range.lowerBound * outputs, outputs, range.count, outputs)
    }
    forEachOutput { j in
      let row = product.pointer + j * inputs
      if let gradient = gamma?.gradient {
        gradient.pointer[j] +=
          factor
          * (peco_dot(row, weight.value.pointer + j * inputs, inputs)
            + sums.pointer[j] * (bias?.value.pointer[j] ?? 0))
      }
      if let gradient = weight.gradient {
        peco_add_scaled(gradient.pointer + j * inputs, row, scale.pointer[j], inputs)
      }
      if let gradient = bias?.gradient { gradient.pointer[j] += scale.pointer[j] * sums.pointer[j] }
    }
  }

  /// factor · gamma
  private func scale() -> Tensor {
    let scale = Tensor([outputs], filledWith: factor)
    if let gamma { peco_scale(scale.pointer, gamma.value.pointer, factor, outputs) }
    return scale
  }

  /// The selected rows, one after another.
  private func selected(_ dy: Tensor) -> Tensor {
    guard selection.entries != nil else { return dy }
    let rows = Tensor(uninitialized: [rows, outputs])
    ThreadPool.current.forEachRange(of: self.rows, grain: grain) { range in
      selection.forEachRun(in: range) { selected, whole, count in
        (rows.pointer + selected * outputs).update(from: dy.pointer + whole * outputs, count: count * outputs)
      }
    }
    return rows
  }

  private func forEachOutput(_ body: (Int) -> Void) {
    ThreadPool.current.forEachRange(of: outputs, grain: rowGrain(inputs)) { range in
      for j in range { body(j) }
    }
  }
}

/// GELU(h + bias), in the number format of h; h itself without a bias.
func activated(_ h: Tensor, _ bias: Parameter?, inPlace: Bool) -> Tensor {
  guard let bias = bias?.value else { return h }
  let width = bias.count
  let a = inPlace ? h : Tensor(uninitialized: h.shape, dtype: h.dtype)
  ThreadPool.current.forEachRange(of: h.count / width, grain: rowGrain(width)) { range in
    let start = range.lowerBound * width
    switch h.dtype {
    case .float32: peco_bias_gelu(a.pointer + start, h.pointer + start, bias.pointer, range.count, width)
    case .bfloat16:
      peco_bias_gelu_bfloat16(a.halves + start, h.halves + start, bias.pointer, range.count, width)
    }
  }
  return a
}

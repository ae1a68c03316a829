import CKernels
@_spi(TensorMemory) import Tensors

/// `residual` of a projection with products of bfloat16. The branch's result is kept in bfloat16: layer scale's gradient
/// costs a pass over it less than one over the weights.
func residualInBFloat16(
  _ x: Tensor, _ h: Tensor, weight: Parameter, bias: Parameter?, activation: Parameter?, gamma: Parameter?,
  selection: EntrySelection, factor: Float
) -> Tensor {
  let h = cast(h, to: .bfloat16)
  let pass = NarrowResidualProjectionPass(
    product: NarrowProjection(
      rows: selection.rows, inputs: weight.shape[1], outputs: weight.shape[0], weight: weight),
    bias: bias, activation: activation, gamma: gamma, factor: factor, selection: selection)
  precondition(h.count == selection.rows * weight.shape[1], "a branch of \(h.shape) does not fit \(x.shape)")
  precondition(x.shape.last == weight.shape[0], "\(weight.name) does not lead to shape \(x.shape)")
  let y = Tensor(uninitialized: x.shape)
  let branch = pass.addBranch(activated(h, activation, inPlace: h.tape == nil), to: x, into: y)
  let parameters = [weight] + [bias, activation, gamma].compactMap { $0 }
  let isRead = activation != nil || weight.gradient != nil
  let (kept, keptBranch) = (isRead ? h : nil, gamma?.gradient == nil ? nil : branch)
  let (target, branchTarget) = (x.gradientTarget, h.gradientTarget)
  return Tape.record(y, from: [x, h], parameters: parameters) { dy in
    target.add(dy)
    pass.backward(dy, kept, branch: keptBranch, to: branchTarget)
  }
}

/// One use of the operation.
private struct NarrowResidualProjectionPass {
  let product: NarrowProjection
  let bias: Parameter?
  let activation: Parameter?
  let gamma: Parameter?
  let factor: Float
  let selection: EntrySelection

  private var rows: Int { product.rows }
  private var inputs: Int { product.inputs }
  private var outputs: Int { product.outputs }

  /// y = x + scale ∘ (a Wᵀ) + shift for the selected rows, and x for the others; the product in bfloat16.
  func addBranch(_ a: Tensor, to x: Tensor, into y: Tensor) -> Tensor {
    let outputs = outputs
    let branch = Tensor(uninitialized: [rows, outputs], dtype: .bfloat16)
    product.forward(a, into: branch)
    let scale = scale()
    let shift = Tensor([outputs])
    if let bias { peco_multiply(shift.pointer, scale.pointer, bias.value.pointer, outputs) }
    ThreadPool.current.forEachRange(of: rows, grain: rowGrain(outputs)) { range in
      selection.forEachRun(in: range) { selected, whole, count in
        peco_scaled_residual_bfloat16(
          y.pointer + whole * outputs, x.pointer + whole * outputs, branch.halves + selected * outputs,
          scale.pointer, shift.pointer, count, outputs)
      }
    }
    let others = selection.complement(of: x.shape.first ?? 1)
    others.forEachRun(in: 0..<others.rows) { _, whole, count in
      (y.pointer + whole * outputs).update(from: x.pointer + whole * outputs, count: count * outputs)
    }
    return branch
  }

  /// - Parameters:
  ///   - h: Nil where nothing reads it; with an activation its memory is overwritten.
  ///   - branch: What `addBranch` gave; nil where layer scale is not trained.
  ///   - target: Where the gradient of h goes.
  func backward(_ dy: Tensor, _ h: Tensor?, branch: Tensor?, to target: GradientTarget) {
    let gradient = branchGradient(dy, branch)
    let dh = product.inputGradient(gradient, shape: target.shape, dtype: .bfloat16)
    guard let activation, let h else {
      if let h { product.addWeightGradient(h, outputGradient: gradient) }
      return target.add(dh)
    }
    // h and its gradient change places with the gradient of h + activation and the activated values.
    let inputs = inputs
    let sum = RowSum(activation.gradient, count: inputs)
    accumulateOverRows(rows, grain: rowGrain(inputs), into: [sum]) { range, sums in
      let start = range.lowerBound * inputs
      peco_bias_gelu_gradient_bfloat16(
        h.halves + start, dh.halves + start, sums[0], activation.value.pointer, range.count, inputs)
    }
    product.addWeightGradient(dh, outputGradient: gradient)
    target.add(h.detached)
  }

  /// The gradient of the product in bfloat16; adds those of bias and layer scale, from dy in float32.
  private func branchGradient(_ dy: Tensor, _ branch: Tensor?) -> Tensor {
    let outputs = outputs
    let gradient = Tensor(uninitialized: [rows, outputs], dtype: .bfloat16)
    let scale = scale()
    let sums = Tensor([2, outputs])
    let targets = [RowSum(sums, count: outputs), RowSum(sums, at: outputs, count: outputs)]
    accumulateOverRows(rows, grain: rowGrain(outputs), into: targets) { range, places in
      selection.forEachRun(in: range) { selected, whole, count in
        let start = selected * outputs
        peco_scaled_residual_gradient_bfloat16(
          gradient.halves + start, places[0], places[1], dy.pointer + whole * outputs,
          branch.map { $0.halves + start }, scale.pointer, count, outputs)
      }
    }
    for j in 0..<outputs {
      let (sum, product) = (sums.pointer[j], sums.pointer[outputs + j])
      if let gradient = bias?.gradient { gradient.pointer[j] += scale.pointer[j] * sum }
      if let gradient = gamma?.gradient {
        gradient.pointer[j] += factor * (product + sum * (bias?.value.pointer[j] ?? 0))
      }
    }
    return gradient
  }

  /// factor · gamma
  private func scale() -> Tensor {
    let scale = Tensor([outputs], filledWith: factor)
    if let gamma { peco_scale(scale.pointer, gamma.value.pointer, factor, outputs) }
    return scale
  }
}

import CKernels
@_spi(TensorMemory) import Tensors

/// Part of a bias parameter, and the first column it is added to.
public struct BiasSlice {
  let parameter: Parameter
  let range: Range<Int>
  let column: Int

  /// The elements `range` of a bias, all by default, added to the columns from `column` on.
  public init(_ parameter: Parameter, _ range: Range<Int>? = nil, at column: Int = 0) {
    self.parameter = parameter
    self.range = range ?? 0..<parameter.count
    self.column = column
  }
}

/// x Wᵀ + b, as PyTorch's `linear`: [..., inputs] → [..., outputs].
///
/// The product is computed in the context's precision. x may be of any number format, and is kept for backward in that of
/// the product; the result is float32 unless `isNarrow` lets it be that of the product too.
///
/// - Parameters:
///   - x: [..., inputs]
///   - norm: Normalizes x first. What it gives is computed again for backward rather than kept.
///   - samples: Entries of the first axis (ascending) that are normalized and mapped; nil for all.
///   - weight: W; axes after the first are flattened to [rows, inputs].
///   - outputs: The rows of W that are used; nil for all.
///   - biases: What is added to which columns of the outputs.
///   - isNarrow: Whether what reads the result takes it in the precision of products.
public func linear(
  _ x: Tensor, normalizedBy norm: LayerNormParameters? = nil, samples: [Int]? = nil, _ weight: Parameter,
  outputs: Range<Int>? = nil, biases: [BiasSlice], isNarrow: Bool = false
) -> Tensor {
  precondition(norm != nil || samples == nil, "only what is normalized is selected on the way")
  let inputs = weight.count / weight.shape[0]
  let outputs = outputs ?? 0..<weight.shape[0]
  precondition(x.shape.last == inputs, "\(weight.name) does not apply to shape \(x.shape)")
  guard ExecutionContext.current.precision == .float32 else {
    return linearInBFloat16(
      x, normalizedBy: norm, samples: samples, weight, outputs: outputs, biases: biases, isNarrow: isNarrow)
  }
  let pass = norm.map { LayerNormPass($0, x, samples: samples) }
  let input = pass?.forward() ?? x
  let rows = input.count / max(inputs, 1)
  let width = outputs.count
  let product = Projection(
    rows: rows, inputs: inputs, outputs: width, weight: weight, offset: outputs.lowerBound * inputs)
  let y = Tensor(uninitialized: input.shape.dropLast() + [width])
  product.forward(input, into: y)
  if !biases.isEmpty {
    ThreadPool.current.forEachRange(of: rows, grain: rowGrain(width)) { range in
      for bias in biases {
        peco_add_row(
          y.pointer + range.lowerBound * width + bias.column, width,
          bias.parameter.value.pointer + bias.range.lowerBound, range.count, bias.range.count)
      }
    }
  }
  let inputShape = input.shape
  // The weight's gradient alone reads x where no norm does: a frozen weight lets go of it.
  let kept = weight.gradient == nil ? nil : x
  let target = x.gradientTarget
  let parameters = (norm?.parameters ?? []) + [weight] + biases.map(\.parameter)
  return Tape.record(y, from: [x], parameters: parameters) { dy in
    let wanted = biases.filter { $0.parameter.gradient != nil }
    if !wanted.isEmpty {
      let sums = wanted.map {
        RowSum($0.parameter.gradient, at: $0.range.lowerBound, count: $0.range.count)
      }
      accumulateOverRows(rows, grain: rowGrain(width), into: sums) { range, sums in
        for (bias, sum) in zip(wanted, sums) {
          peco_add_column_sums(
            sum, dy.pointer + range.lowerBound * width + bias.column, width, range.count, bias.range.count)
        }
      }
    }
    if let kept { product.addWeightGradient(pass?.forward() ?? kept, outputGradient: dy) }
    if let pass {
      // Computed whether or not x wants it: the norm's own parameters do.
      let dx = pass.backward(product.inputGradient(dy, shape: inputShape))
      target.add(dx)
    } else {
      target.add(product.inputGradient(dy, shape: target.shape))
    }
  }
}

/// The matrix product inside a linear map, and its two gradients.
private struct Projection {
  let rows: Int
  let inputs: Int
  let outputs: Int
  let weight: Parameter
  /// First element of the weight that is used.
  let offset: Int

  func forward(_ x: Tensor, into y: Tensor) {
    MatrixMultiply.parallel(
      rows, outputs, inputs, MatrixView(x.pointer, stride: inputs),
      MatrixView(weight.value.pointer + offset, stride: inputs, transposed: true),
      into: MatrixView(y.pointer, stride: outputs))
  }

  func addWeightGradient(_ x: Tensor, outputGradient dy: Tensor) {
    guard let gradient = weight.gradient else { return }
    MatrixMultiply.parallel(
      outputs, inputs, rows, MatrixView(dy.pointer, stride: outputs, transposed: true),
      MatrixView(x.pointer, stride: inputs), into: MatrixView(gradient.pointer + offset, stride: inputs),
      beta: 1)
  }

  func inputGradient(_ dy: Tensor, shape: [Int]) -> Tensor {
    let dx = Tensor(uninitialized: shape)
    MatrixMultiply.parallel(
      rows, inputs, outputs, MatrixView(dy.pointer, stride: outputs),
      MatrixView(weight.value.pointer + offset, stride: inputs), into: MatrixView(dx.pointer, stride: inputs))
    return dx
  }
}

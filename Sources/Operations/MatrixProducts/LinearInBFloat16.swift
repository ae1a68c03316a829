import CKernels
@_spi(TensorMemory) import Tensors

/// `linear` with products of bfloat16: x and the weight are rounded to it, sums are float32.
func linearInBFloat16(
  _ x: Tensor, normalizedBy norm: LayerNormParameters?, samples: [Int]?, _ weight: Parameter,
  outputs: Range<Int>, biases: [BiasSlice], isNarrow: Bool
) -> Tensor {
  let inputs = x.shape.last ?? 1
  let width = outputs.count
  let pass = norm.map { LayerNormPass($0, x, samples: samples) }
  let input = pass?.forward(.bfloat16) ?? x.converted(to: .bfloat16)
  let rows = input.count / max(inputs, 1)
  let product = NarrowProjection(
    rows: rows, inputs: inputs, outputs: width, weight: weight, offset: outputs.lowerBound * inputs)
  let y = Tensor(
    uninitialized: input.shape.dropLast() + [width], dtype: isNarrow ? .bfloat16 : .float32)
  product.forward(input, bias: biasRow(biases, width: width), into: y)
  let inputShape = input.shape
  // With a norm, what it gives is computed again; a frozen weight lets go of x.
  let kept = weight.gradient == nil || pass != nil ? nil : input
  let target = x.gradientTarget
  let parameters = (norm?.parameters ?? []) + [weight] + biases.map(\.parameter)
  return Tape.record(y, from: [x], parameters: parameters) { dy in
    let dy = dy.converted(to: .bfloat16)
    addBiasGradients(biases, dy, rows: rows, width: width)
    if weight.gradient != nil, let input = kept ?? pass?.forward(.bfloat16) {
      product.addWeightGradient(input, outputGradient: dy)
    }
    if let pass {
      // Computed whether or not x wants it: the norm's own parameters do.
      let dx = pass.backward(product.inputGradient(dy, shape: inputShape, dtype: .bfloat16))
      target.add(dx)
    } else {
      target.add(product.inputGradient(dy, shape: target.shape, dtype: target.dtype))
    }
  }
}

/// Biases as one row of all columns; nil where there are none.
private func biasRow(_ biases: [BiasSlice], width: Int) -> Tensor? {
  guard !biases.isEmpty else { return nil }
  let row = Tensor([width])
  for bias in biases {
    peco_add_in_place(
      row.pointer + bias.column, bias.parameter.value.pointer + bias.range.lowerBound, bias.range.count)
  }
  return row
}

private func addBiasGradients(_ biases: [BiasSlice], _ dy: Tensor, rows: Int, width: Int) {
  let wanted = biases.filter { $0.parameter.gradient != nil }
  guard !wanted.isEmpty else { return }
  let sums = wanted.map { RowSum($0.parameter.gradient, at: $0.range.lowerBound, count: $0.range.count) }
  accumulateOverRows(rows, grain: rowGrain(width), into: sums) { range, sums in
    for (bias, sum) in zip(wanted, sums) {
      peco_add_column_sums_bfloat16(
        sum, dy.halves + range.lowerBound * width + bias.column, width, range.count, bias.range.count)
    }
  }
}

/// A product of bfloat16 inside a linear map, and its two gradients; the weight's adds up in float32.
struct NarrowProjection {
  let rows: Int
  let inputs: Int
  let outputs: Int
  let weight: Parameter
  /// First element of the weight that is used.
  var offset = 0

  private func weights(transposed: Bool) -> PackedMatrix {
    let matrix = MatrixView(weight.value.pointer + offset, stride: inputs, transposed: transposed)
    return transposed
      ? PackedMatrix(matrix, rows: inputs, columns: outputs)
      : PackedMatrix(matrix, rows: outputs, columns: inputs)
  }

  func forward(_ x: Tensor, bias: Tensor? = nil, into y: Tensor) {
    withExtendedLifetime(bias) {
      MatrixMultiply.parallel(
        rows, x.halves, weights(transposed: true),
        into: ProductTarget(y, stride: outputs), bias: bias?.pointer)
    }
  }

  func addWeightGradient(_ x: Tensor, outputGradient dy: Tensor) {
    guard let gradient = weight.gradient else { return }
    let columns = transposed(dy, rows: rows, columns: outputs)
    withExtendedLifetime(columns) {
      MatrixMultiply.parallel(
        outputs, columns.halves,
        PackedMatrix(MatrixView(x.halves, stride: inputs), rows: rows, columns: inputs, in: x),
        into: ProductTarget(gradient, at: offset, stride: inputs), isAccumulating: true)
    }
  }

  func inputGradient(_ dy: Tensor, shape: [Int], dtype: DType) -> Tensor {
    let dx = Tensor(uninitialized: shape, dtype: dtype)
    MatrixMultiply.parallel(
      rows, dy.halves, weights(transposed: false),
      into: ProductTarget(dx, stride: inputs))
    return dx
  }
}

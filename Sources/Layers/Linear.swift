import CKernels
import Tensors

/// An affine map of the last axis: y = x Wᵀ + b, with W of shape [outputs, inputs].
public struct Linear {
  /// [outputs, inputs]
  public let weight: Parameter
  /// [outputs]; nil without.
  public let bias: Parameter?

  /// Makes `weight` and, unless `bias` is false, `bias` (zero at first) in `scope`.
  public init(
    _ inputs: Int, _ outputs: Int, bias: Bool = true, in scope: ParameterScope,
    initializer: Initializer = .truncatedNormal(0.02)
  ) {
    weight = scope.parameter("weight", [outputs, inputs], initializer)
    self.bias = bias ? scope.parameter("bias", [outputs], .zeros) : nil
  }

  /// The parameters in the order in which they were made.
  public var parameters: [Parameter] { [weight] + (bias.map { [$0] } ?? []) }

  /// [..., inputs] → [..., outputs]
  public func callAsFunction(_ x: Tensor) -> Tensor {
    project(x, weight, biases: bias.map { [BiasSlice($0)] } ?? [])
  }

  /// The map followed by GELU: [..., inputs] → [..., outputs].
  ///
  /// Keeps only x Wᵀ for backward; bias, activation and the bias's gradient go in one pass each way.
  public func gelu(_ x: Tensor) -> Tensor {
    guard let bias else { return Layers.gelu(self(x)) }
    let (inputs, outputs) = (weight.shape[1], weight.shape[0])
    precondition(x.shape.last == inputs, "\(weight.name) does not apply to shape \(x.shape)")
    let rows = x.count / max(inputs, 1)
    let hidden = Tensor(uninitialized: x.shape.dropLast() + [outputs])
    let product = Projection(rows: rows, inputs: inputs, outputs: outputs, weight: weight, offset: 0)
    product.forward(x, into: hidden)
    // Without a tape nobody comes back for the sum, and the result takes its place.
    let y = x.tape == nil ? hidden : Tensor(uninitialized: hidden.shape)
    let b = bias.value
    ThreadPool.shared.forEachRange(of: rows, grain: rowGrain(outputs)) { range in
      let start = range.lowerBound * outputs
      peco_bias_gelu(y.pointer + start, hidden.pointer + start, b.pointer, range.count, outputs)
    }
    return Tape.record(y, from: [x], parameters: [weight, bias]) { dy in
      // The gradient of the sum takes the place of x Wᵀ, which nobody else holds.
      let sum = RowSum(bias.gradient, count: outputs)
      accumulateOverRows(rows, grain: rowGrain(outputs), into: [sum]) { range, sums in
        let h = hidden.pointer + range.lowerBound * outputs
        peco_bias_gelu_gradient(
          h, sums[0], h, b.pointer, dy.pointer + range.lowerBound * outputs, range.count, outputs)
      }
      product.backward(x, outputGradient: hidden)
    }
  }
}

/// Part of a bias parameter, and the first column it is added to.
struct BiasSlice {
  let parameter: Parameter
  let range: Range<Int>
  let column: Int

  init(_ parameter: Parameter, _ range: Range<Int>? = nil, at column: Int = 0) {
    self.parameter = parameter
    self.range = range ?? 0..<parameter.count
    self.column = column
  }
}

/// x Wᵀ + b with the rows `outputs` of a weight (all by default, axes after the first flattened).
func project(
  _ x: Tensor, _ weight: Parameter, outputs: Range<Int>? = nil, biases: [BiasSlice]
) -> Tensor {
  let inputs = weight.count / weight.shape[0]
  let outputs = outputs ?? 0..<weight.shape[0]
  precondition(x.shape.last == inputs, "\(weight.name) does not apply to shape \(x.shape)")
  let rows = x.count / max(inputs, 1)
  let width = outputs.count
  let product = Projection(
    rows: rows, inputs: inputs, outputs: width, weight: weight, offset: outputs.lowerBound * inputs)
  let y = Tensor(uninitialized: x.shape.dropLast() + [width])
  product.forward(x, into: y)
  if !biases.isEmpty {
    ThreadPool.shared.forEachRange(of: rows, grain: rowGrain(width)) { range in
      for bias in biases {
        peco_add_row(
          y.pointer + range.lowerBound * width + bias.column, width,
          bias.parameter.value.pointer + bias.range.lowerBound, range.count, bias.range.count)
      }
    }
  }
  return Tape.record(y, from: [x], parameters: [weight] + biases.map(\.parameter)) { dy in
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
    product.backward(x, outputGradient: dy)
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

  func backward(_ x: Tensor, outputGradient dy: Tensor) {
    if let gradient = weight.gradient {
      MatrixMultiply.parallel(
        outputs, inputs, rows, MatrixView(dy.pointer, stride: outputs, transposed: true),
        MatrixView(x.pointer, stride: inputs), into: MatrixView(gradient.pointer + offset, stride: inputs),
        beta: 1)
    }
    x.addGradient(inputGradient(dy, shape: x.shape))
  }

  private func inputGradient(_ dy: Tensor, shape: [Int]) -> Tensor {
    let dx = Tensor(uninitialized: shape)
    MatrixMultiply.parallel(
      rows, inputs, outputs, MatrixView(dy.pointer, stride: outputs),
      MatrixView(weight.value.pointer + offset, stride: inputs), into: MatrixView(dx.pointer, stride: inputs))
    return dx
  }
}

import Operations
import Tensors
import TestSupport
import Testing

@Suite struct LinearInBFloat16Tests {
  /// Rows, inputs and outputs on both sides of what kernels take at a time: vectors, pairs of rows, panels of 64 columns.
  @Test(
    arguments: [
      (1, 1, 1), (5, 7, 3), (31, 33, 65), (32, 64, 128), (33, 130, 200), (75, 96, 63), (197, 129, 192),
      (300, 48, 17),
    ])
  func productsAndGradientsAreThoseOfRoundedNumbers(rows: Int, inputs: Int, outputs: Int) throws {
    useSeveralThreads()
    try withPrecision(.bfloat16) {
      let tape = Tape()
      let x = tape.leaf(randomTensor([rows, inputs], seed: 1))
      let weight = ParameterScope(seed: 2).parameter(
        "weight", [outputs, inputs], .normal(1), role: .weight)
      weight.enableGradient()
      let dy = randomTensor([rows, outputs], seed: 3)
      let y = linear(x, weight, biases: [])
      tape.backward(from: innerProduct(y, dy))

      let (a, w, d) = (Rounded(x), Rounded(weight.value), Rounded(dy))
      var worst = 0.0
      func compare(_ found: Tensor, _ sum: (Int, Int) -> Double) {
        for (place, element) in found.elements.enumerated() {
          let (i, j) = place.quotientAndRemainder(dividingBy: found.shape[1])
          worst = max(worst, abs(Double(element) - sum(i, j)))
        }
      }
      compare(y) { i, j in (0..<inputs).reduce(0) { $0 + a[i, $1] * w[j, $1] } }
      compare(try #require(x.gradient)) { i, j in (0..<outputs).reduce(0) { $0 + d[i, $1] * w[$1, j] } }
      compare(try #require(weight.gradient)) { i, j in (0..<rows).reduce(0) { $0 + d[$1, i] * a[$1, j] } }
      #expect(worst < 1e-3)
    }
  }

  /// A matrix of numbers rounded to bfloat16.
  private struct Rounded {
    private let elements: [Double]
    private let columns: Int

    init(_ tensor: Tensor) {
      elements = tensor.converted(to: .bfloat16).converted(to: .float32).elements.map(Double.init)
      columns = tensor.shape[1]
    }

    subscript(row: Int, column: Int) -> Double { elements[row * columns + column] }
  }
}

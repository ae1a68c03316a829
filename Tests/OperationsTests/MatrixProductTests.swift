import Operations
import Tensors
import TestSupport
import Testing

@Suite struct MatrixProductTests {
  init() { useSeveralThreads() }

  /// Rows of a matrix, or its columns.
  private func lines(_ x: Tensor, transposed: Bool) -> [[Float]] {
    let (rows, columns, elements) = (x.shape[0], x.shape[1], x.elements)
    return transposed
      ? (0..<columns).map { column in (0..<rows).map { elements[$0 * columns + column] } }
      : (0..<rows).map { Array(elements[$0 * columns..<($0 + 1) * columns]) }
  }

  @Test(arguments: [false, true], [false, true])
  func matchesTheDefinition(aTransposed: Bool, bTransposed: Bool) {
    let (m, n, k) = (7, 5, 11)
    let a = randomTensor(aTransposed ? [k, m] : [m, k], seed: 1)
    let b = randomTensor(bTransposed ? [n, k] : [k, n], seed: 2)
    let (rows, columns) = (lines(a, transposed: aTransposed), lines(b, transposed: !bTransposed))
    let expected = rows.flatMap { row in
      columns.map { column in Float(zip(row, column).reduce(0.0) { $0 + Double($1.0) * Double($1.1) }) }
    }
    let found = matrixProduct(a, b, aTransposed: aTransposed, bTransposed: bTransposed)
    #expect(relativeError(found, Tensor(expected, shape: [m, n])) < 1e-5)
  }

  @Test func anAffineMapAddsItsBias() {
    let x = Tensor([1, 2, 3, 4], shape: [2, 2])
    let weight = Tensor([1, 0, 0, 1, 1, 1], shape: [3, 2])
    let y = affine(x, weight, bias: Tensor([10, 20, 30], shape: [3]))
    #expect(y.shape == [2, 3] && y.elements == [11, 22, 33, 13, 24, 37])
  }

  @Test func aProductOfNoRowsIsEmpty() {
    let none = matrixProduct(Tensor([0, 4]), randomTensor([3, 4], seed: 1), bTransposed: true)
    #expect(none.shape == [0, 3])
  }
}

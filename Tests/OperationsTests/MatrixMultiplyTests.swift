@_spi(TensorMemory) import Operations
@_spi(TensorMemory) import Tensors
import TestSupport
import Testing

@Suite struct MatrixMultiplyTests {
  /// A matrix in a buffer whose rows are longer than the matrix, transposed or not.
  private struct Operand {
    let buffer: Tensor
    let stride: Int
    let transposed: Bool

    init(_ rows: Int, _ columns: Int, transposed: Bool, seed: UInt64) {
      let (stored, length) = transposed ? (columns, rows) : (rows, columns)
      stride = length + 3
      buffer = randomTensor([max(stored, 1), stride], seed: seed)
      self.transposed = transposed
    }

    var view: MatrixView<Float> { MatrixView(buffer.pointer, stride: stride, transposed: transposed) }

    subscript(row: Int, column: Int) -> Double {
      Double(buffer.pointer[transposed ? column * stride + row : row * stride + column])
    }
  }

  /// Sizes on both sides of the limit from which threads share a product, tall, wide, deep and with odd edges.
  @Test(
    arguments: [(5, 7, 3), (1, 1, 1), (150, 33, 150), (33, 150, 150), (17, 1, 40), (9, 21, 1186)],
    [false, true])
  func allTransposesMatchTheDefinition(size: (Int, Int, Int), parallel: Bool) {
    useSeveralThreads()
    let (m, n, k) = size
    for (transposeA, transposeB) in [(false, false), (false, true), (true, false), (true, true)] {
      for (alpha, beta) in [(Float(1), Float(0)), (0.5, 1), (-2, 0.25)] {
        let a = Operand(m, k, transposed: transposeA, seed: 1)
        let b = Operand(k, n, transposed: transposeB, seed: 2)
        let c = Operand(m, n, transposed: false, seed: 3)
        let before = c.buffer.copy()
        if parallel {
          MatrixMultiply.parallel(m, n, k, a.view, b.view, into: c.view, alpha: alpha, beta: beta)
        } else {
          MatrixMultiply.serial(m, n, k, a.view, b.view, into: c.view, alpha: alpha, beta: beta)
        }
        var worst = 0.0
        for i in 0..<m {
          for j in 0..<c.stride {
            let old = Double(before.pointer[i * c.stride + j])
            var expected = old
            if j < n {
              expected = Double(beta) * old
              for l in 0..<k { expected += Double(alpha) * a[i, l] * b[l, j] }
            }
            worst = max(worst, abs(expected - Double(c.buffer.pointer[i * c.stride + j])))
          }
        }
        #expect(worst < 1e-4)
      }
    }
  }

  @Test func aProductOverNothingIsZero() {
    let c = Tensor([2, 2], filledWith: 7)
    let empty = Tensor([1])
    MatrixMultiply.serial(
      2, 2, 0, MatrixView(empty.pointer, stride: 1), MatrixView(empty.pointer, stride: 2),
      into: MatrixView(c.pointer, stride: 2))
    #expect(c.elements == [0, 0, 0, 0])
  }

  @Test func theKernelsHaveAName() { #expect(!MatrixMultiply.kernelName.isEmpty) }
}

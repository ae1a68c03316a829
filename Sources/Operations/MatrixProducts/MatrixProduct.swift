@_spi(TensorMemory) import Tensors

/// The product of two plain matrices, each as it is or transposed: [m, k] · [k, n] → [m, n]. Forward only.
public func matrixProduct(
  _ a: Tensor, _ b: Tensor, aTransposed: Bool = false, bTransposed: Bool = false
) -> Tensor {
  let c = Tensor(uninitialized: [a.shape[aTransposed ? 1 : 0], b.shape[bTransposed ? 0 : 1]])
  writeMatrixProduct(a, b, aTransposed: aTransposed, bTransposed: bTransposed, into: c)
  return c
}

/// Writes the product of two plain matrices, each as it is or transposed, over a third: [m, k] · [k, n] → [m, n].
public func writeMatrixProduct(
  _ a: Tensor, _ b: Tensor, aTransposed: Bool = false, bTransposed: Bool = false, into c: Tensor
) {
  precondition([a, b, c].allSatisfy { $0.shape.count == 2 }, "a product is of matrices")
  let (m, k) = aTransposed ? (a.shape[1], a.shape[0]) : (a.shape[0], a.shape[1])
  let (depth, n) = bTransposed ? (b.shape[1], b.shape[0]) : (b.shape[0], b.shape[1])
  precondition(k == depth && c.shape == [m, n], "[\(m), \(k)] · [\(depth), \(n)] is not \(c.shape)")
  MatrixMultiply.parallel(
    m, n, k, MatrixView(a.pointer, stride: a.shape[1], transposed: aTransposed),
    MatrixView(b.pointer, stride: b.shape[1], transposed: bTransposed),
    into: MatrixView(c.pointer, stride: n))
}

import CKernels
@_spi(TensorMemory) import Tensors

/// x Wᵀ + b of plain tensors: [N, inputs] with W [outputs, inputs] and b [outputs] → [N, outputs]. Forward only.
public func affine(_ x: Tensor, _ weight: Tensor, bias: Tensor) -> Tensor {
  precondition(bias.count == weight.shape[0], "a bias of \(bias.count) for a weight of \(weight.shape)")
  let y = matrixProduct(x, weight, bTransposed: true)
  peco_add_row(y.pointer, bias.count, bias.pointer, y.shape[0], bias.count)
  return y
}

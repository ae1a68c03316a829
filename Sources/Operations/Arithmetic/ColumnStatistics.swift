@_spi(TensorMemory) import Tensors

/// Adds the rows of `x` [N, width] to `sums`, one after the other, in double precision.
public func addColumnSums(of x: Tensor, to sums: inout [Double]) {
  addColumns(of: x, to: &sums) { Double($1) }
}

/// Adds the squared distances of `x` [N, width] from `center` to `sums`, row by row, in double precision.
public func addColumnSquares(of x: Tensor, around center: [Double], to sums: inout [Double]) {
  precondition(center.count == x.shape[1], "\(center.count) means for shape \(x.shape)")
  addColumns(of: x, to: &sums) { (Double($1) - center[$0]) * (Double($1) - center[$0]) }
}

private func addColumns(of x: Tensor, to sums: inout [Double], _ term: (Int, Float) -> Double) {
  let width = x.shape[1]
  precondition(sums.count == width, "\(sums.count) sums for shape \(x.shape)")
  for row in 0..<x.shape[0] {
    for i in 0..<width { sums[i] += term(i, x.pointer[row * width + i]) }
  }
}

/// Takes each column of `x` [N, width] to (x − mean) / deviation, in place; computed in double precision.
public func standardizeColumns(of x: Tensor, means: [Double], deviations: [Double]) {
  let width = x.shape[1]
  precondition(means.count == width && deviations.count == width, "a mean and a deviation for each column")
  for row in 0..<x.shape[0] {
    for i in 0..<width {
      let value = Double(x.pointer[row * width + i])
      x.pointer[row * width + i] = Float((value - means[i]) / deviations[i])
    }
  }
}

import CKernels
import Tensors

/// x + y, element by element, as at the end of a residual block.
public func sum(_ x: Tensor, _ y: Tensor) -> Tensor {
  precondition(x.shape == y.shape, "\(x.shape) and \(y.shape) do not add")
  let z = Tensor(uninitialized: x.shape)
  ThreadPool.shared.forEachRange(of: x.count, grain: 1 << 15) { range in
    let i = range.lowerBound
    peco_add(z.pointer + i, x.pointer + i, y.pointer + i, range.count)
  }
  return Tape.record(z, from: [x, y]) { dz in
    x.addGradient(dz)
    y.addGradient(dz)
  }
}

/// Σ weight · term over scalars, as the total of several losses.
public func weightedSum(_ terms: [(weight: Float, loss: Tensor)]) -> Tensor {
  let total = terms.reduce(Float(0)) { $0 + $1.weight * $1.loss.item }
  return Tape.record(Tensor(total), from: terms.map(\.loss)) { dy in
    for (weight, loss) in terms { loss.addGradient(Tensor([weight * dy.item], shape: loss.shape)) }
  }
}

import Tensors

/// Σ weight · term over scalars, as the total of several losses.
public func weightedSum(_ terms: [(weight: Float, loss: Tensor)]) -> Tensor {
  let total = terms.reduce(Float(0)) { $0 + $1.weight * $1.loss.item }
  return Tape.record(Tensor(total), from: terms.map(\.loss)) { dy in
    for (weight, loss) in terms { loss.addGradient(Tensor([weight * dy.item], shape: loss.shape)) }
  }
}

import Layers
import Operations
import Tensors

/// The projector and the predictor of MoCo v3 (Chen et al., 2104.02057, section 3): linear maps without bias, batch
/// normalization after each, ReLU between them; the last normalization has no factors and offsets.
///
/// Parameters are numbered as in the published code: `0.weight`, `1.weight`, `1.bias`, `1.running_mean`, ...
struct ContrastiveHead {
  private let layers: [(linear: Linear, norm: BatchNorm1d)]

  /// A head of `widths.count - 1` linear maps, from `widths[0]` to the last of them.
  init(widths: [Int], in scope: ParameterScope) {
    let last = widths.count - 2
    layers = (0...last).map { number in
      // A linear map, a normalization and a ReLU take a number each. Weights start as PyTorch's.
      let limit = 1 / Float(widths[number]).squareRoot()
      let linear = Linear(
        widths[number], widths[number + 1], bias: false, in: scope / (3 * number),
        initializer: .uniform(limit))
      return (
        linear,
        BatchNorm1d(widths[number + 1], affine: number < last, in: scope / (3 * number + 1))
      )
    }
  }

  /// [n, widths.first] → [n, widths.last]
  func callAsFunction(_ x: Tensor, mode: Mode, over ranks: (any RankExchange)?) -> Tensor {
    var h = x
    for (number, layer) in layers.enumerated() {
      h = layer.norm(layer.linear(h), mode: mode, over: ranks)
      if number < layers.count - 1 { h = relu(h) }
    }
    return h
  }
}

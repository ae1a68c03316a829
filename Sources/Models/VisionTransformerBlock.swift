import Layers
import Tensors

/// A transformer block, normalising before attention and before the MLP, with layer scale and stochastic depth.
struct VisionTransformerBlock {
  private let norm1: LayerNorm
  private let attention: Attention
  private let relativePositions: RelativePositionBias?
  private let gamma1: Parameter?
  private let norm2: LayerNorm
  private let fc1: Linear
  private let fc2: Linear
  private let gamma2: Parameter?
  private let number: Int
  private let dropRate: Float

  /// Block `number`, from 0.
  init(_ configuration: VisionTransformerConfiguration, number: Int, in scope: ParameterScope) {
    self.number = number
    dropRate = configuration.dropPathRate(block: number)
    let width = configuration.width
    let epsilon = configuration.normEpsilon
    let initial = Initializer.truncatedNormal(configuration.initialDeviation)
    // Residual branches add up: BEiT starts those of deeper blocks smaller.
    let last = Initializer.truncatedNormal(
      configuration.initialDeviation / Float(2 * (number + 1)).squareRoot())
    func layerScale(_ name: String) -> Parameter? {
      configuration.layerScale.map { scope.parameter(name, [width], .constant($0), decayed: false) }
    }
    norm1 = LayerNorm(width, epsilon: epsilon, in: scope / "norm1")
    relativePositions =
      configuration.positions.contains(.relative)
      ? RelativePositionBias(
        gridHeight: configuration.grid, gridWidth: configuration.grid, heads: configuration.heads,
        in: scope / "attn") : nil
    attention = Attention(
      width, heads: configuration.heads, bias: configuration.qkvBias, in: scope / "attn",
      initializer: initial, projectionInitializer: last)
    gamma1 = layerScale("gamma_1")
    norm2 = LayerNorm(width, epsilon: epsilon, in: scope / "norm2")
    fc1 = Linear(width, configuration.hiddenWidth, in: scope / "mlp" / "fc1", initializer: initial)
    fc2 = Linear(configuration.hiddenWidth, width, in: scope / "mlp" / "fc2", initializer: last)
    gamma2 = layerScale("gamma_2")
  }

  /// [B, N, width] → [B, N, width]
  func callAsFunction(_ x: Tensor, bias: Tensor?, depth: StochasticDepth?) -> Tensor {
    let kept = depth?.kept(layer: number, branch: 0, rate: dropRate)
    let middle = connect(x, kept: kept, gamma: gamma1, parameters: attentionParameters, depth: depth) {
      attention(norm1(x, samples: kept), bias: relativePositions?(alongside: x) ?? bias)
    }
    let keptByMLP = depth?.kept(layer: number, branch: 1, rate: dropRate)
    return connect(middle, kept: keptByMLP, gamma: gamma2, parameters: mlpParameters, depth: depth) {
      fc2(fc1.gelu(norm2(middle, samples: keptByMLP)))
    }
  }

  /// The block's result for some tokens only: [B, N, width] → [rows.count, width].
  ///
  /// - Parameter rows: Flat token numbers (b · N + n), ascending.
  func callAsFunction(_ x: Tensor, rows: [Int], bias: Tensor?, depth: StochasticDepth?) -> Tensor {
    let tokens = x.shape[1]
    let selected = gatherRows(x, rows)

    /// Places in `rows` that belong to the kept samples.
    func places(_ kept: [Int]?) -> [Int]? {
      guard let kept else { return nil }
      let samples = Set(kept)
      return rows.indices.filter { samples.contains(rows[$0] / tokens) }
    }

    let kept = depth?.kept(layer: number, branch: 0, rate: dropRate)
    let keptRows = places(kept)
    let middle = connect(
      selected, kept: keptRows, gamma: gamma1, parameters: attentionParameters, depth: depth
    ) {
      // The kept samples alone go through attention, numbered anew.
      var queries = rows
      if let kept, let keptRows {
        var place = [Int](repeating: 0, count: x.shape[0])
        for (index, sample) in kept.enumerated() { place[sample] = index }
        queries = keptRows.map { place[rows[$0] / tokens] * tokens + rows[$0] % tokens }
      }
      return attention(
        norm1(x, samples: kept), rows: queries, bias: relativePositions?(alongside: x) ?? bias)
    }
    let keptByMLP = places(depth?.kept(layer: number, branch: 1, rate: dropRate))
    return connect(middle, kept: keptByMLP, gamma: gamma2, parameters: mlpParameters, depth: depth) {
      fc2(fc1.gelu(norm2(middle, samples: keptByMLP)))
    }
  }

  /// x + the branch for the kept entries; a branch that none keeps is not computed.
  private func connect(
    _ x: Tensor, kept: [Int]?, gamma: Parameter?, parameters: [Parameter], depth: StochasticDepth?,
    branch: () -> Tensor
  ) -> Tensor {
    if let kept, kept.isEmpty { return residual(x, skipping: parameters) }
    // What is kept is enlarged, so that the sum has the same mean as without dropping.
    let factor = depth == nil ? 1 : 1 / (1 - dropRate)
    return residual(x, branch(), gamma: gamma, samples: kept, factor: factor)
  }

  private var attentionParameters: [Parameter] {
    norm1.parameters + (relativePositions.map { [$0.table] } ?? []) + attention.parameters
      + (gamma1.map { [$0] } ?? [])
  }

  private var mlpParameters: [Parameter] {
    norm2.parameters + fc1.parameters + fc2.parameters + (gamma2.map { [$0] } ?? [])
  }
}
